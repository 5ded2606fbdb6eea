"use strict";
// A trained classifier of continuous layers, run in the page at any sizes of its feature maps.

/** The bytes of a base64 text. */
function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The tensors of a safetensors file: eight bytes of length, a JSON header, then the numbers. */
function tensors(file) {
  const view = new DataView(file.buffer);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const found = {};
  for (const [name, { dtype, shape, data_offsets: ends }] of Object.entries(header)) {
    if (dtype !== "F32") continue; // the counts of batches
    const [from, to] = ends.map((end) => end + 8 + length);
    found[name] = { shape, values: new Float32Array(file.slice(from, to).buffer) };
  }
  return found;
}

/**
 * The taps of a filter of fixed support about the outputs of one axis. `expected` says which picture the layer expects,
 * its side and where the numbers begin on it, if that is not the whole of them.
 */
function taps(nIn, nOut, kernel, expected = { side: nIn, start: 0 }) {
  const denominator = 2 * nOut;
  return Array.from({ length: nOut }, (_, o) => {
    const position = numerator(o, expected.side, nOut) - expected.start * denominator;
    const reach = kernel * nOut; // half the support, over the denominator
    const read = [];
    for (let tap = Math.ceil((position - reach) / denominator); tap * denominator <= position + reach; tap++) {
      if (tap >= 0 && tap < nIn) read.push({ tap, offset: tap * denominator - position });
    }
    return { read, denominator };
  });
}

/**
 * The sums of a layer, for several images at once: maps (side, side, in) -> (size, size, out). The weights of a pair of
 * offsets, `layer.weights`, are computed once.
 */
function summed(layer, maps, side, size, axis) {
  const { inChannels, outChannels } = layer;
  const known = new Map();
  const results = maps.map(() => new Float32Array(size * size * outChannels));
  axis.forEach(({ read: rows, denominator }, y) => {
    axis.forEach(({ read: columns }, x) => {
      const to = (y * size + x) * outChannels;
      for (const row of rows) {
        for (const column of columns) {
          const key = `${row.offset} ${column.offset}`;
          let weights = known.get(key);
          if (!weights) known.set(key, (weights = layer.weights(row.offset / denominator, column.offset / denominator)));
          const from = (row.tap * side + column.tap) * inChannels;
          maps.forEach((map, image) => {
            const result = results[image];
            for (let c = 0; c < inChannels; c++) {
              const value = map[from + c];
              if (value === 0) continue; // after ReLU many are
              const at = c * outChannels;
              for (let out = 0; out < outChannels; out++) result[to + out] += value * weights[at + out];
            }
          });
        }
      }
    });
  });
  return results;
}

/** One continuous layer of a network: its filter is a sum of scalar functions of the offset, times matrices. */
class ContinuousLayer {
  constructor(weights, layer) {
    [this.features, this.outChannels, this.inChannels] = weights[`${layer}.filter.weight`].shape;
    this.matrices = weights[`${layer}.filter.weight`].values;
  }

  /** The weights at an offset, (in, out) row by row. */
  weights(vertical, horizontal) {
    const functions = this.functions(vertical, horizontal);
    const { inChannels, outChannels, matrices } = this;
    const result = new Float32Array(inChannels * outChannels);
    functions.forEach((value, feature) => {
      for (let out = 0; out < outChannels; out++) {
        const from = (feature * outChannels + out) * inChannels;
        for (let c = 0; c < inChannels; c++) result[c * outChannels + out] += value * matrices[from + c];
      }
    });
    return result;
  }

  forward(maps, side, size, expected) {
    return summed(this, maps, side, size, taps(side, size, this.kernel, expected));
  }
}

/** Sines of sines of the offset, tapered. */
class SineLayer extends ContinuousLayer {
  constructor(weights, layer) {
    super(weights, layer);
    const named = (name) => weights[`${layer}.filter.trunk.${name}`].values;
    this.first = { weight: named("0.weight"), bias: named("0.bias") };
    this.second = { weight: named("2.weight"), bias: named("2.bias") };
    this.kernel = Math.sqrt(this.features); // as many functions as taps
  }

  /** The scalar functions at an offset in pixels. */
  functions(vertical, horizontal) {
    const [v, h] = [(2 * vertical) / this.kernel, (2 * horizontal) / this.kernel]; // -1 to 1 over the support
    const hidden = this.first.bias.length;
    const inner = Float64Array.from({ length: hidden }, (_, k) =>
      Math.sin(6 * (this.first.weight[2 * k] * v + this.first.weight[2 * k + 1] * h + this.first.bias[k])),
    );
    const taper = (1 - Math.abs(v) ** 3) * (1 - Math.abs(h) ** 3);
    return Float64Array.from({ length: this.features }, (_, feature) => {
      let sum = this.second.bias[feature];
      for (let k = 0; k < hidden; k++) sum += this.second.weight[feature * hidden + k] * inner[k];
      return taper * Math.sin(sum);
    });
  }
}

/** Quadratic B-splines about control points, a pixel apart. */
class BSplineLayer extends ContinuousLayer {
  constructor(weights, layer) {
    super(weights, layer);
    this.points = Math.sqrt(this.features);
    this.kernel = this.points + 2;
  }

  functions(vertical, horizontal) {
    const splines = (offset) => Array.from({ length: this.points }, (_, k) => quadratic(offset - k + (this.points - 1) / 2));
    const across = splines(horizontal);
    return Float64Array.from(splines(vertical).flatMap((down) => across.map((value) => down * value)));
  }
}

/** The quadratic B-spline, zero from 3/2 pixels on. */
function quadratic(offset) {
  const t = Math.abs(offset);
  if (t < 0.5) return 0.75 - t * t;
  return t < 1.5 ? (1.5 - t) ** 2 / 2 : 0;
}

/** The classifier: layer, batch norm and ReLU, four times; the mean over the last map; a linear map to the classes. */
class Network {
  constructor(weights, made = (named, layer) => new SineLayer(named, layer)) {
    this.weights = weights;
    this.layers = [];
    while (`norms.${this.layers.length}.weight` in weights) {
      this.layers.push(made(weights, `layers.${this.layers.length}`, this.layers.length));
    }
  }

  /** Images as planes of numbers, `side` pixels a side -> the scores of each. `expected`: of the first layer's taps. */
  scores(images, side, sizes, expected = undefined) {
    let maps = images;
    sizes.forEach((size, index) => {
      maps = this.layers[index].forward(maps, side, size, index === 0 ? expected : undefined);
      side = size;
      for (const map of maps) this.normalise(map, index);
    });
    const [head, bias] = ["head.weight", "head.bias"].map((name) => this.weights[name].values);
    return maps.map((map) => {
      const channels = map.length / side ** 2;
      const mean = new Float64Array(channels);
      map.forEach((value, at) => (mean[at % channels] += value / side ** 2));
      return Array.from(bias, (start, label) => mean.reduce((sum, value, c) => sum + value * head[label * channels + c], start));
    });
  }

  normalise(map, index) {
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (name) => this.weights[`norms.${index}.${name}`].values,
    );
    map.forEach((value, at) => {
      const c = at % weight.length;
      map[at] = Math.max(0, ((value - mean[c]) / Math.sqrt(variance[c] + 1e-5)) * weight[c] + bias[c]);
    });
  }
}

function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

(() => {
  const root = document.getElementById("shapes");
  const data = JSON.parse(document.getElementById("network-data").textContent);
  const network = new Network(tensors(bytes(data.weights)));
  const pixels = bytes(data.images);
  const area = data.side ** 2;
  const images = data.labels.map((_, image) =>
    Float32Array.from(pixels.subarray(image * area, (image + 1) * area), (value) => (value / 255 - data.mean) / data.deviation),
  );
  window.network = { network, images, data }; // for whoever opens the console
  const slider = root.querySelector("input");
  const list = root.querySelector("ol");

  const items = data.labels.map((label, image) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `A picture of the class ${data.classes[label]}`);
    drawGrey(canvas, Float32Array.from(pixels.subarray(image * area, (image + 1) * area), (value) => value / 255), data.side);
    const answer = document.createElement("span");
    item.append(canvas, answer);
    list.append(item);
    return answer;
  });

  function draw() {
    const at = data.schedules[Number(slider.value)];
    const began = performance.now();
    const scores = network.scores(images, data.side, at.sizes);
    const took = performance.now() - began;
    let right = 0;
    scores.forEach((score, image) => {
      const shares = softmax(score);
      const best = shares.indexOf(Math.max(...shares));
      const isRight = best === data.labels[image];
      right += isRight;
      const truth = isRight ? "" : `, not ${data.classes[data.labels[image]]}`;
      items[image].textContent = `${isRight ? "✓" : "✗"} ${data.classes[best]}${truth}, ${Math.round(100 * shares[best])} %`;
      items[image].className = isRight ? "right" : "wrong";
    });
    const maps = at.sizes.join(", ");
    root.querySelector("output").textContent = `${maps} px`;
    slider.setAttribute("aria-valuetext", `maps of ${maps} pixels`);
    root.querySelector("p").textContent =
      `With maps of ${maps} pixels the network needs ${at.cost.toFixed(2)} times its nominal multiply-adds and is right on ` +
      `${at.accuracy.toFixed(1)} % of ${data.tested} test pictures; here on ${right} of ${images.length}, computed in ${Math.round(took)} ms.`;
  }

  slider.max = data.schedules.length - 1;
  slider.value = data.nominal;
  slider.addEventListener("input", oncePerFrame(draw));
  soon(draw);
})();
