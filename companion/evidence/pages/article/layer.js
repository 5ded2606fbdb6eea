"use strict";
// A continuous convolution layer whose filter is the cubic, in the four steps of cclib's reference: project every
// output onto the input, list the taps about it, read the filter at their offsets, sum.

/** W of one axis: the cubic convolution kernel, a = -1/2 (Keys, 1981), zero from 2 pixels on. */
function cubic(offset) {
  const t = Math.abs(offset);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

/** Where output o of nOut lies on an axis of nIn pixels, both grids having the same centre: times 2 nOut, a whole number. */
function numerator(o, nIn, nOut) {
  return (2 * o + 1) * nIn - nOut;
}

/** The same in pixels. */
function centred(o, nIn, nOut) {
  return numerator(o, nIn, nOut) / (2 * nOut);
}

/**
 * Where the outputs of one axis fall, and what they read.
 *
 * Positions are fractions, numerator / denominator in whole numbers, so that no tap is lost to rounding. Where the layer
 * scales down, the filter widens by nIn / nOut, and the weights are divided by their sum.
 *
 * Returns for each output its position, the first tap (which may lie outside) and the weights of its taps.
 */
function axis(nIn, nOut) {
  const denominator = 2 * nOut;
  const wide = Math.max(nIn, nOut); // of denominator / 2: a support of 2 units is 2 * wide / nOut input pixels
  return Array.from({ length: nOut }, (_, o) => {
    const at = numerator(o, nIn, nOut);
    const first = Math.floor((at - 4 * wide) / denominator) + 1;
    const last = Math.ceil((at + 4 * wide) / denominator) - 1;
    const weights = [];
    for (let tap = first; tap <= last; tap++) weights.push(cubic((tap * denominator - at) / (2 * wide)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { position: centred(o, nIn, nOut), first, weights: weights.map((weight) => weight / sum) };
  });
}

/** The same of a strided convolution of three taps, padding 1, or of its transposed twin: only whole strides. */
function stridedAxis(nIn, nOut) {
  const up = nOut > nIn;
  const stride = Math.max(1, Math.round(up ? nOut / nIn : nIn / nOut));
  const count = up ? nIn * stride : Math.floor((nIn - 1) / stride) + 1;
  return Array.from({ length: count }, (_, o) => {
    const position = up ? o / stride : o * stride;
    const first = Math.floor(position) - (up ? 0 : 1);
    const part = position - Math.floor(position);
    return { position, first, weights: up ? [1 - part, part] : [0.25, 0.5, 0.25] };
  });
}

/**
 * Resize planes of numbers: `planes` arrays of height * width, row by row. `rows` and `columns` are axes as above.
 * Pixels beyond the border are those at the border.
 */
function resized(planes, height, width, rows, columns) {
  const inside = (tap, n) => Math.min(Math.max(tap, 0), n - 1);
  return planes.map((plane) => {
    const narrow = new Float32Array(height * columns.length); // the filter is a product: columns first, then rows
    columns.forEach(({ first, weights }, o) => {
      weights.forEach((weight, k) => {
        const column = inside(first + k, width);
        for (let row = 0; row < height; row++) narrow[row * columns.length + o] += weight * plane[row * width + column];
      });
    });
    const result = new Float32Array(rows.length * columns.length);
    rows.forEach(({ first, weights }, o) => {
      weights.forEach((weight, k) => {
        const from = inside(first + k, height) * columns.length;
        for (let column = 0; column < columns.length; column++) result[o * columns.length + column] += weight * narrow[from + column];
      });
    });
    return result;
  });
}

/** How far outputs lie, on average, from the middles of equal parts of the axis, where they are taken to lie. */
function drift(outputs, nIn) {
  const off = outputs.map(({ position }, o) => Math.abs(position - centred(o, nIn, outputs.length)));
  return off.reduce((total, distance) => total + distance, 0) / outputs.length;
}

/** Numbers in [0, 1], row by row, as a grey picture that fills a canvas. */
function drawGrey(canvas, values, width, height = width) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  values.forEach((value, at) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * at));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** PSNR in dB of one picture to another, without a border. */
function psnr(one, other, border, width, height = width) {
  let sum = 0;
  for (let row = border; row < height - border; row++) {
    for (let column = border; column < width - border; column++) sum += (one[row * width + column] - other[row * width + column]) ** 2;
  }
  return -10 * Math.log10(sum / ((height - 2 * border) * (width - 2 * border)));
}

/** A listener that draws with the next frame, however many events come before. */
function oncePerFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** Work that waits until the first figure is seen, then for its turn: one piece between two frames. */
const waiting = [];

function soon(work) {
  const next = () =>
    requestAnimationFrame(() =>
      setTimeout(() => {
        waiting[0]();
        waiting.shift();
        if (waiting.length) next();
      }),
    );
  if (waiting.push(work) === 1) next();
}
