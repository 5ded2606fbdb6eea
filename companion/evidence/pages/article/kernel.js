"use strict";
// Learned kernels that scale a picture down by any factor, beside the answer that they were to learn: the cubic's.

/**
 * Where the outputs of one axis fall, and at which offsets they read a filter, for a factor top / bottom (input size over
 * output size), as the layer does it: whole numbers over a denominator, the corners of both pictures aligned.
 *
 * stretched: whether the filter's unit is an output pixel. kernel: its support, in units. closed: whether a tap on the
 * edge of the support counts.
 */
function reduction(nIn, [top, bottom], { stretched, kernel, closed }) {
  const unit = stretched ? top : bottom; // of the filter, over the denominator / 2
  const reach = kernel * unit;
  const inPixel = 2 * bottom;
  return Array.from({ length: Math.floor((nIn * bottom) / top) }, (_, o) => {
    const position = top - bottom + 2 * o * top;
    const first = closed ? Math.ceil((position - reach) / inPixel) : Math.floor((position - reach) / inPixel) + 1;
    const last = closed ? Math.floor((position + reach) / inPixel) : Math.ceil((position + reach) / inPixel) - 1;
    const offsets = [];
    for (let tap = first; tap <= last; tap++) offsets.push(tap * inPixel - position);
    return { first, offsets, unit: 2 * unit };
  });
}

/** The distinct offsets of an axis, in units of the filter, and for each output which of them it reads. */
function distinct(lines) {
  const known = new Map();
  const read = lines.map(({ first, offsets }) => ({
    first,
    indices: offsets.map((offset) => known.get(offset) ?? (known.set(offset, known.size), known.size - 1)),
  }));
  return { read, offsets: [...known.keys()].map((offset) => offset / lines[0].unit) };
}

/** A learned filter of one channel at all pairs of offsets: sines of sines, as SineLayer, but the inner ones shared. */
function sinesOf(weights) {
  const layer = new SineLayer(weights, "layer");
  const hidden = layer.first.bias.length;
  const waves = (offsets, of, start) =>
    offsets.map((offset) => {
      const angles = Array.from({ length: hidden }, (_, k) => 6 * (of(k) * (2 * offset) / layer.kernel + start(k)));
      return { sines: angles.map(Math.sin), cosines: angles.map(Math.cos), taper: 1 - Math.abs((2 * offset) / layer.kernel) ** 3 };
    });
  return (vertical, horizontal) => {
    const rows = waves(vertical, (k) => layer.first.weight[2 * k], () => 0);
    const columns = waves(horizontal, (k) => layer.first.weight[2 * k + 1], (k) => layer.first.bias[k]);
    const table = new Float64Array(rows.length * columns.length);
    const inner = new Float64Array(hidden);
    rows.forEach((row, v) =>
      columns.forEach((column, h) => {
        for (let k = 0; k < hidden; k++) inner[k] = row.sines[k] * column.cosines[k] + row.cosines[k] * column.sines[k];
        let sum = 0;
        for (let feature = 0; feature < layer.features; feature++) {
          let angle = layer.second.bias[feature];
          for (let k = 0; k < hidden; k++) angle += layer.second.weight[feature * hidden + k] * inner[k];
          sum += layer.matrices[feature] * Math.sin(angle);
        }
        table[v * columns.length + h] = row.taper * column.taper * sum;
      }),
    );
    return table;
  };
}

/** A discrete kernel, read between its weights along the cubic spline through them. */
function splineOf(weights) {
  const { values } = weights["layer.filter.weight"];
  const side = Math.sqrt(values.length);
  const splines = (offsets) => offsets.map((offset) => Array.from({ length: side }, (_, k) => cubic(offset - k + (side - 1) / 2)));
  return (vertical, horizontal) => {
    const [rows, columns] = [splines(vertical), splines(horizontal)];
    return Float64Array.from({ length: rows.length * columns.length }, (_, at) => {
      const [row, column] = [rows[Math.floor(at / columns.length)], columns[at % columns.length]];
      return row.reduce((sum, a, i) => (a ? sum + a * column.reduce((part, b, j) => part + b * values[i * side + j], 0) : sum), 0);
    });
  };
}

/** A square picture through a kernel, divided by the kernel's answer to a constant one. factors: height, width, as fractions. */
function reduced(kernel, picture, side, factors) {
  const axes = factors.map((factor) => distinct(reduction(side, factor, kernel)));
  const [rows, columns] = axes.map(({ read }) => read);
  const table = kernel.table(...axes.map(({ offsets }) => offsets));
  const stride = axes[1].offsets.length;
  const inside = (tap) => Math.min(Math.max(tap, 0), side - 1);
  const result = new Float32Array(rows.length * columns.length);
  rows.forEach((row, y) =>
    columns.forEach((column, x) => {
      let [sum, mass] = [0, 0];
      row.indices.forEach((v, k) => {
        const line = inside(row.first + k) * side;
        column.indices.forEach((h, l) => {
          const weight = table[v * stride + h];
          sum += weight * picture[line + inside(column.first + l)];
          mass += weight;
        });
      });
      result[y * columns.length + x] = sum / mass;
    }),
  );
  return { values: result, height: rows.length, width: columns.length };
}

/** What torch's anti-aliased bicubic resizing answers: taps beyond the border are left out. */
function bicubicReduced(picture, side, factors) {
  const [rows, columns] = factors.map((factor) =>
    reduction(side, factor, { stretched: true, kernel: 4, closed: false }).map(({ first, offsets, unit }) => {
      const weights = offsets.map((offset, k) => (first + k >= 0 && first + k < side ? cubic(offset / unit) : 0));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      return { first, weights: weights.map((weight) => weight / sum) };
    }),
  );
  return { values: resized([picture], side, side, rows, columns)[0], height: rows.length, width: columns.length };
}

(() => {
  const root = document.getElementById("kernel");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const data = JSON.parse(document.getElementById("kernel-data").textContent);
  const picture = Float32Array.from(bytes(data.picture), (value) => value / 255);
  const stretched = { stretched: true, kernel: 4, closed: false };
  const triangle = (offset) => Math.max(0, 1 - Math.abs(offset));
  const kernels = {
    cc: { ...stretched, table: sinesOf(tensors(bytes(data.cc))) },
    conv: { stretched: false, kernel: 8, closed: true, table: splineOf(tensors(bytes(data.conv))) },
    classical: {
      stretched: true,
      kernel: 2,
      closed: false,
      table: (rows, columns) => Float64Array.from(rows.flatMap((v) => columns.map((h) => triangle(v) * triangle(h)))),
    },
  };
  const BORDER = 3; // output pixels, as in the notebook
  const LOUDER = 40; // how much brighter errors are shown
  window.kernel = { reduced: (name, factors) => reduced(kernels[name], picture, data.side, factors), data, picture };

  const sliders = { both: part("both"), height: part("height"), width: part("width") };

  function draw() {
    const factors = ["height", "width"].map((name) => [Number(sliders[name].value), 10]);
    const answer = bicubicReduced(picture, data.side, factors);
    const { height, width } = answer;
    drawGrey(part("answer"), answer.values, width, height);
    for (const [name, kernel] of Object.entries(kernels)) {
      const { values } = reduced(kernel, picture, data.side, factors);
      drawGrey(part(name), values, width, height);
      const error = values.map((value, at) => LOUDER * Math.abs(value - answer.values[at]));
      drawGrey(part(`${name}-error`), error, width, height);
      part(`${name}-psnr`).textContent = `${psnr(values, answer.values, BORDER, width, height).toFixed(1)} dB`;
    }
    part("size").textContent = `${height} × ${width} px`;
    const same = sliders.height.value === sliders.width.value;
    for (const name of Object.keys(sliders)) {
      const words = (Number(sliders[name].value) / 10).toFixed(1);
      const holds = same || name !== "both";
      part(`${name}-value`).textContent = holds ? words : "–";
      sliders[name].setAttribute("aria-valuetext", holds ? `factor ${words}` : "height and width differ");
    }
    const index = data.tenths.indexOf(Number(sliders.height.value));
    for (const mark of root.querySelectorAll("svg .here")) {
      mark.style.display = same ? "" : "none";
      mark.setAttribute("transform", `translate(${mark.dataset.x.split(" ")[index]} ${mark.dataset.y.split(" ")[index]})`);
    }
  }

  const later = oncePerFrame(draw);
  sliders.both.addEventListener("input", () => {
    sliders.height.value = sliders.width.value = sliders.both.value;
    later();
  });
  for (const name of ["height", "width"]) sliders[name].addEventListener("input", later);
  part("louder").textContent = LOUDER;
  soon(draw);
})();
