"use strict";
// A picture that moves by fractions of a pixel, and what three trained classifiers answer.

/**
 * The matrix that moves the numbers of one axis, taken as one period of a wave without detail finer than `cutOff` cycles
 * per pixel, by `distance` pixels: sums of cosines, so that a fraction of a pixel is as exact as a whole one.
 */
function movement(n, distance, cutOff) {
  return Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (_, j) => {
      let sum = 0;
      for (let k = -Math.floor(n / 2); k <= n / 2; k++) {
        if (Math.abs(k) / n < cutOff) sum += Math.cos((2 * Math.PI * k * (i - j - distance)) / n);
      }
      return sum / n;
    }),
  );
}

/** A square canvas moved by the same matrix on both axes. */
function movedBy(matrix, canvas) {
  const n = matrix.length;
  const half = new Float64Array(n * n); // moved down only
  const result = new Float32Array(n * n);
  for (let row = 0; row < n; row++) {
    for (let k = 0; k < n; k++) {
      const weight = matrix[row][k];
      for (let column = 0; column < n; column++) half[row * n + column] += weight * canvas[k * n + column];
    }
  }
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      const weights = matrix[column];
      let sum = 0;
      for (let k = 0; k < n; k++) sum += weights[k] * half[row * n + k];
      result[row * n + column] = sum;
    }
  }
  return result;
}

/** A strided convolution as a layer of a `Network`: the same calls as a `ContinuousLayer`. */
class StridedLayer {
  constructor(weights, layer, stride) {
    const { shape, values } = weights[`${layer}.weight`];
    [this.outChannels, this.inChannels, this.kernel] = shape;
    this.stride = stride;
    this.values = values;
  }

  /** As `taps`: what each output reads, and where the weights stand. */
  axis(side, size) {
    return Array.from({ length: size }, (_, o) => ({
      denominator: 1,
      read: Array.from({ length: this.kernel }, (_, k) => ({ tap: o * this.stride - 1 + k, offset: k })).filter(
        ({ tap }) => tap >= 0 && tap < side,
      ),
    }));
  }

  weights(row, column) {
    const result = new Float32Array(this.inChannels * this.outChannels);
    for (let out = 0; out < this.outChannels; out++) {
      for (let c = 0; c < this.inChannels; c++) {
        const at = ((out * this.inChannels + c) * this.kernel + row) * this.kernel + column;
        result[c * this.outChannels + out] = this.values[at];
      }
    }
    return result;
  }

  forward(maps, side, size) {
    return summed(this, maps, side, size, this.axis(side, size));
  }
}

/** Root mean square of the change of logits, relative to how much they differ from picture to picture. */
function relativeChange(scores, before) {
  const mean = before[0].map((_, label) => before.reduce((sum, score) => sum + score[label], 0) / before.length);
  let changed = 0;
  let spread = 0;
  scores.forEach((score, image) =>
    score.forEach((value, label) => {
      changed += (value - before[image][label]) ** 2;
      spread += (before[image][label] - mean[label]) ** 2;
    }),
  );
  return Math.sqrt(changed / spread);
}

(() => {
  const root = document.getElementById("shift");
  const data = JSON.parse(document.getElementById("shift-data").textContent);
  const continuous = new Network(tensors(bytes(data.continuous)));
  const spline = new Network(tensors(bytes(data.spline)), (weights, layer) => new BSplineLayer(weights, layer));
  const strides = data.sizes.map((size, index) => Math.round((index ? data.sizes[index - 1] : data.side) / size));
  const strided = new Network(tensors(bytes(data.strided)), (weights, layer, index) => new StridedLayer(weights, layer, strides[index]));
  const wide = data.side + 2 * data.margin;
  const { images } = window.network;
  const canvases = images.map((image) => {
    const canvas = new Float32Array(wide * wide).fill(data.background);
    for (let row = 0; row < data.side; row++) {
      canvas.set(image.subarray(row * data.side, (row + 1) * data.side), (row + data.margin) * wide + data.margin);
    }
    return canvas;
  });

  /** The part of a canvas where the picture was before it moved. */
  function middle(canvas) {
    const part = new Float32Array(data.side ** 2);
    for (let row = 0; row < data.side; row++) {
      const from = (row + data.margin) * wide + data.margin;
      part.set(canvas.subarray(from, from + data.side), row * data.side);
    }
    return part;
  }

  /** The part of a canvas where the picture is now, read between its pixels by the cubic. */
  function movedBack(canvas, distance) {
    const lines = Array.from({ length: data.side }, (_, o) => {
      const position = o + data.margin + distance;
      const first = Math.ceil(position - 2);
      return { first, weights: [0, 1, 2, 3].map((k) => cubic(first + k - position)) };
    });
    return resized([canvas], wide, wide, lines, lines)[0];
  }

  /** The logits of all pictures moved by a distance, in the four ways to ask. */
  function answers(distance) {
    const matrix = movement(wide, distance, data.cutOff);
    const moved = canvases.map((canvas) => movedBy(matrix, canvas));
    const start = -data.margin - distance; // where the canvas begins, in pixels of the picture
    return {
      moved,
      unknown: strided.scores(moved.map(middle), data.side, data.sizes),
      back: strided.scores(moved.map((canvas) => movedBack(canvas, distance)), data.side, data.sizes),
      frame: continuous.scores(moved, wide, data.sizes, { side: data.side, start }),
      spline: spline.scores(moved, wide, data.sizes, { side: data.side, start }),
    };
  }

  window.shift = { answers };
  const slider = root.querySelector("input");
  const canvas = root.querySelector("canvas");
  let before;

  function show(picture) {
    const [low, high] = [Math.min(...canvases[data.shown]), Math.max(...canvases[data.shown])];
    drawGrey(canvas, picture.map((value) => (value - low) / (high - low)), wide);
  }

  function draw() {
    const distance = Number(slider.value);
    before ??= answers(0);
    const now = answers(distance);
    show(now.moved[data.shown]);
    for (const name of ["unknown", "back", "frame", "spline"]) {
      const change = 100 * relativeChange(now[name], before[name]);
      const item = root.querySelector(`[data-part="${name}"]`);
      item.querySelector("b").textContent = `${change < 0.05 ? "0" : change.toFixed(1)} %`;
      item.querySelector("meter").value = change;
      const shares = softmax(now[name][data.shown]);
      const best = shares.indexOf(Math.max(...shares));
      item.querySelector("span").textContent = `${window.network.data.classes[best]}, ${Math.round(100 * shares[best])} %`;
    }
    root.querySelector("output").textContent = `${distance.toFixed(2)} px`;
    const where = distance < 0 ? "up and to the left" : "down and to the right";
    slider.setAttribute("aria-valuetext", `${Math.abs(distance).toFixed(2)} pixels ${where}`);
  }

  slider.addEventListener("input", oncePerFrame(draw));
  // The networks take a moment: not before somebody is here.
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      observer.disconnect();
      draw();
    }
  }).observe(root);
})();
