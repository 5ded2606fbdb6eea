"use strict";
// A trained super-resolver, run in the page: its features are computed once, at the size of the small picture, and its
// last layer, a continuous one, makes of them a picture of any size.

/** Planes (channels of side * side numbers) through a 3 x 3 convolution with zeros around. */
function convolved(planes, side, { weight, bias, outChannels }) {
  const wide = side + 2;
  const padded = planes.map((plane) => {
    const large = new Float32Array(wide * wide);
    for (let row = 0; row < side; row++) large.set(plane.subarray(row * side, (row + 1) * side), (row + 1) * wide + 1);
    return large;
  });
  return Array.from({ length: outChannels }, (_, out) => {
    const result = new Float32Array(side * side).fill(bias[out]);
    padded.forEach((plane, c) => {
      const w = weight.subarray((out * padded.length + c) * 9, (out * padded.length + c + 1) * 9);
      for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
          const at = row * wide + column;
          result[row * side + column] +=
            w[0] * plane[at] + w[1] * plane[at + 1] + w[2] * plane[at + 2] +
            w[3] * plane[at + wide] + w[4] * plane[at + wide + 1] + w[5] * plane[at + wide + 2] +
            w[6] * plane[at + 2 * wide] + w[7] * plane[at + 2 * wide + 1] + w[8] * plane[at + 2 * wide + 2];
        }
      }
    });
    return result;
  });
}

class SuperResolver {
  constructor(weights) {
    const layer = (name) => ({
      weight: weights[`${name}.weight`].values,
      bias: weights[`${name}.bias`].values,
      outChannels: weights[`${name}.weight`].shape[0],
    });
    this.first = layer("first");
    this.blocks = [];
    while (`blocks.${this.blocks.length}.0.weight` in weights) {
      const index = this.blocks.length;
      this.blocks.push([layer(`blocks.${index}.0`), layer(`blocks.${index}.2`)]);
    }
    this.last = new SineLayer(weights, "last");
  }

  /** The features of a picture, as the last layer takes them: (side, side, channels). */
  features(picture, side) {
    const relu = (planes) => planes.map((plane) => plane.map((value) => Math.max(0, value)));
    let planes = relu(convolved([picture.map((value) => value - 0.5)], side, this.first));
    for (const [inner, outer] of this.blocks) {
      const added = convolved(relu(convolved(planes, side, inner)), side, outer);
      planes = planes.map((plane, c) => plane.map((value, at) => value + added[c][at]));
    }
    const channels = planes.length;
    const map = new Float32Array(side * side * channels);
    planes.forEach((plane, c) => plane.forEach((value, at) => (map[at * channels + c] = value)));
    return map;
  }

  /** The picture at another size: bicubic, and what the network adds. */
  enlarged(picture, features, side, size) {
    const [added] = this.last.forward([features], side, size);
    return bicubic(picture, side, size).map((value, at) => value + added[at]);
  }
}

/** A picture at another size by the cubic, as torch's anti-aliased bicubic resizing. */
function bicubic(picture, side, size) {
  const [rows, columns] = [axisWithin(side, size), axisWithin(side, size)];
  return resized([picture], side, side, rows, columns)[0];
}

/** As `axis` of layer.js, but taps beyond the border are left out, and the others weigh more. */
function axisWithin(nIn, nOut) {
  return axis(nIn, nOut).map(({ position, first, weights }) => {
    const kept = weights.map((weight, k) => (first + k >= 0 && first + k < nIn ? weight : 0));
    const sum = kept.reduce((total, weight) => total + weight, 0);
    return { position, first, weights: kept.map((weight) => weight / sum) };
  });
}

(() => {
  const root = document.getElementById("restorer");
  const data = JSON.parse(document.getElementById("restorer-data").textContent);
  const model = new SuperResolver(tensors(bytes(data.weights)));
  const original = Float32Array.from(bytes(data.picture), (value) => value / 255);
  const side = data.small;
  const small = bicubic(original, data.side, side);
  let known;
  const features = () => (known ??= model.features(small, side));
  window.restorer = { model, small, features, data };
  const slider = root.querySelector("input");
  const LOUPE = 0.42; // of the picture's side: what the canvases show
  const BORDER = 4;

  function show(canvas, picture, size) {
    const part = Math.round(LOUPE * size);
    const from = [Math.round(data.loupe[0] * size), Math.round(data.loupe[1] * size)];
    const cut = Float32Array.from({ length: part ** 2 }, (_, at) => {
      return picture[(from[0] + Math.floor(at / part)) * size + from[1] + (at % part)];
    });
    drawGrey(canvas, cut, part);
  }

  function draw() {
    const size = Math.round(Number(slider.value) * side);
    const truth = bicubic(original, data.side, size);
    const restored = { "bicubic": bicubic(small, side, size), "continuous": model.enlarged(small, features(), side, size) };
    show(root.querySelector('[data-part="small"]'), small, side);
    show(root.querySelector('[data-part="truth"]'), truth, size);
    for (const [name, picture] of Object.entries(restored)) {
      show(root.querySelector(`[data-part="${name}"]`), picture, size);
      root.querySelector(`[data-part="${name}-psnr"]`).textContent = `${psnr(picture.map((value) => Math.min(Math.max(value, 0), 1)), truth, BORDER, size).toFixed(2)} dB`;
    }
    const words = `× ${Number(slider.value).toFixed(3)}: ${side} to ${size} px`;
    root.querySelector("output").textContent = words;
    slider.setAttribute("aria-valuetext", words);
  }

  slider.addEventListener("input", oncePerFrame(draw));
  soon(draw);
})();
