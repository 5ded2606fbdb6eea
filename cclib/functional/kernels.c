/* Sums over runs and their gradients, on a CPU: no patch is copied, and no library multiplies.
 *
 * All samples of one vertical and one horizontal run (`geometry.Runs`) share their weights and read the image at a
 * regular distance. So a tile of a few samples times a panel of output channels stays in registers while taps and input
 * channels are summed: a product of matrices whose first factor is read where it lies. `kernels.py` calls this.
 *
 * The same bits on every processor: each number is one chain of fused multiply-adds, over taps line by line and the
 * channels of each in turn, or, of a gradient, over BLOCK samples in turn, whose sums are added one after the other.
 * Lanes of a vector never meet, and threads share the outputs among them. So neither the vectors that a processor has
 * nor the number of threads changes a number.
 *
 * The file includes itself for each type of number, and for each width of a panel, which is a vector here; where the
 * processor's own are shorter, the compiler splits it.
 */

#ifndef REAL

#include <stdint.h>

typedef int64_t integer;

/* What each sample of an axis reads: sample i belongs to run i mod `runs`. The first sample of run r reads the packed
 * image from `first[r]` on, with the weights at the places from `place[r]` to `place[r + 1]`. From one sample of a run to
 * its next the reads move by `advance`. Summed are the runs from `begin` to `end`, and the table has their weights. */
struct axis {
    integer size, runs, advance, begin, end;
    const integer *first, *place;
};

static integer taps_of(const struct axis *axis, integer run) { return axis->place[run + 1] - axis->place[run]; }
static integer places_of(const struct axis *axis) { return axis->place[axis->end] - axis->place[axis->begin]; }
static integer place_of(const struct axis *axis, integer run) { return axis->place[run] - axis->place[axis->begin]; }
static integer samples_of(const struct axis *axis, integer run) {
    return (axis->size - run + axis->runs - 1) / axis->runs;
}

/* A sum, or its gradient. The image is packed, (batch, lines, pixels, channels). y has groups * out channels, one after
 * the other, and strides for its images, lines and columns. The table of weights is (groups, panels, vertical places,
 * horizontal places, in, width), where `width` numbers have NARROW or WIDE bytes. With `depthwise` there is one group,
 * `in` is 1, and each channel of y reads the channel of the image with its number alone; the width is narrow. Of so many
 * `images` at a time all that is asked for is computed, so that they stay in the cache. */
struct sum {
    struct axis rows, columns;
    integer batch, images, lines, pixels, channels, groups, in, out, width, depthwise;
    const void *image;
    void *table;
    const void *bias; /* or 0 */
    void *y;
    integer y_strides[3];
};

/* To copy an image (batch, channels, height, width), with strides, to (batch, lines, pixels, channels), its pixel (0, 0)
 * to (top, left), cut off and with zeros about it; or back. */
struct copy {
    const void *image;
    void *to;
    integer strides[4], batch, channels, height, width, lines, pixels, top, left;
};

enum {
    NARROW = 32, /* bytes of a vector */
    SPARE = 64,  /* numbers at the end of an image, that a vector may read */
    WIDE = 64,
    NEAR = 8192, /* bytes of weights that stay in the nearest cache beside what else is read */
    BLOCK = 120, /* samples at a time: what they read stays in the cache while panels of weights take turns */
    CHUNK = 48,  /* weights of a line at a time, for whose gradient so many samples are gathered */
    PANELS = 8,  /* for so many panels */
    FEW_CHANNELS = 24 /* of an image that is read as it is: more would meet on a few lines of the cache */
};

/* Rows of a tile: with the vectors that they take, twelve registers or so, and enough of them to hide what each waits. */
#define ROWS_NARROW 8
#ifdef __AVX512F__
#define ROWS_WIDE 12
#else
#define ROWS_WIDE 6
#endif

/* A sum of an image that is not packed yet, to a y that is copied to `to` where `back.to` is not 0: for so many images at
 * a time, and so many `samples` of each vertical run, in `room` numbers of its own for each part. */
struct whole {
    struct sum sum;
    struct copy source, back;
    integer samples, room;
    void *rooms;
};

/* A sum whose weights are made for one pair of runs at a time, since all of them would not stay in a cache: each the
 * product of `features` functions, (vertical places, horizontal places, features), and of matrices, (panels, in, features,
 * width). `product` is that of one panel, for `most` places. In `room` numbers of its own for each part are the functions
 * and the weights of a pair. */
struct made {
    struct sum sum, product;
    integer panels, features, most, room;
    const void *functions, *matrices;
    void *rooms;
};

/* A filter. Its coefficients, (features, groups * out, in) with strides, are arranged to matrices (panels, in, features,
 * width), zero where the last panel of a group is wider. Its functions, (..., columns, features), are taken for the
 * `places` of both axes, those at `slots`, or where that is 0 all as they are. Functions times matrices, panel by panel a
 * `product`, is the table. With `least` multiply-adds to do a thread is worth it, of so many `threads`. */
struct filter {
    integer features, groups, out, in, panels, width, strides[3], places[2], columns;
    const integer *slots[2];
    const void *coefficients, *functions;
    void *matrices, *taken, *table;
    struct sum product;
    integer threads, least;
};

/* The gradients of functions and coefficients, from an image and the gradient of the output, which are packed first. That
 * of the table is summed for some vertical runs at a time, so many `lines` of it or one run: then the contraction with the
 * matrices, `turned` for it, is that of the functions, and the product with the functions that of the matrices, which has
 * room twice. For each weight there are so many `samples`. */
struct filter_gradient {
    struct copy image, output;
    struct filter filter;
    struct sum sum, contraction;
    integer samples, lines, strides[3];
    void *turned, *of_functions, *of_matrices, *of_coefficients;
};

/* Kernels work on part `part` of `parts`. */
typedef void kernel_t(const void *given, integer part, integer parts);

struct job {
    kernel_t *kernel;
    const void *given;
    integer parts, next;
};

static void work(void *of) {
    struct job *job = of;
    for (integer part; (part = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED)) < job->parts;)
        job->kernel(job->given, part, job->parts);
}

/* GOMP_parallel of torch's own OpenMP library. */
typedef void parallel_t(void (*work)(void *), void *of, unsigned threads, unsigned flags);

/* Do all parts: with `parallel` on as many threads. */
void run(kernel_t *kernel, const void *given, integer parts, parallel_t *parallel) {
    struct job job = {kernel, given, parts, 0};
    if (parallel && parts > 1) parallel(work, &job, (unsigned)parts, 0);
    else work(&job);
}

/* As many threads as so much work is worth. */
static integer parts_for(const struct filter *f, integer work) {
    return work / f->least < f->threads ? work / f->least + 1 : f->threads;
}

const char *const made_from = MADE_FROM; /* the hash of this file */

#define INLINE static inline __attribute__((always_inline))
#define EACH(i, count) _Pragma("clang loop unroll(full)") for (int i = 0; i < count; i++)

#define FOUR_TIMES _Pragma("clang loop unroll_count(4)") /* half as fast again */

#define JOIN(name, suffix) name##_##suffix
#define NAMED(name, suffix) JOIN(name, suffix)
#define NAME(name) NAMED(name, REAL)

#define REAL float
#include "kernels.c"
#undef REAL
#define REAL double
#include "kernels.c"
#undef REAL

#elif !defined(BYTES) /* for each type of number */

/* Some samples of a pair of runs: where each reads, and where it is written. */
static void NAME(locate)(
    const struct sum *s, integer row, integer column, integer begin, integer end, integer *reads, integer *writes) {
    const struct axis *rows = &s->rows, *columns = &s->columns;
    integer down = samples_of(rows, row), across = samples_of(columns, column);
    integer image = begin / across / down, i = begin / across % down, j = begin % across;
    for (integer k = 0; k < end - begin; k++) {
        integer line = image * s->lines + rows->first[row] + i * rows->advance;
        reads[k] = (line * s->pixels + columns->first[column] + j * columns->advance) * s->channels;
        writes[k] = image * s->y_strides[0] + (row + i * rows->runs) * s->y_strides[1] +
            (column + j * columns->runs) * s->y_strides[2];
        if (++j == across) {
            j = 0;
            if (++i == down) i = 0, image++;
        }
    }
}

/* Where the weights of a pair of runs begin, of a group and a panel. */
INLINE REAL *NAME(weights)(const struct sum *s, integer row, integer column, integer group_and_panel) {
    integer line = group_and_panel * places_of(&s->rows) + place_of(&s->rows, row);
    integer first = line * places_of(&s->columns) + place_of(&s->columns, column);
    return (REAL *)s->table + first * s->in * s->width;
}

/* How many chunks of CHUNK weights a line of taps has. */
static integer NAME(chunks_of)(const struct sum *s, integer column) {
    return s->depthwise ? 1 : (taps_of(&s->columns, column) * s->in + CHUNK - 1) / CHUNK;
}

/* What some samples read of the numbers `from` to `to` of (taps, in) of a line. */
static void NAME(read)(
    const struct sum *s, integer line, integer group, integer from, integer to, integer samples, const integer *reads,
    REAL *x) {
    for (integer at = from; at < to;) { /* the numbers of a tap, or of all taps where there is one group, are neighbours */
        integer tap = at / s->in, end = s->groups == 1 || (tap + 1) * s->in > to ? to : (tap + 1) * s->in;
        const REAL *image =
            (const REAL *)s->image + (line * s->pixels + tap) * s->channels + group * s->in + at % s->in;
        for (integer k = 0; k < samples; k++)
            for (integer i = 0; i < end - at; i++) x[k * CHUNK + at - from + i] = image[reads[k] + i];
        at = end;
    }
}

#define BYTES NARROW
#define ROWS ROWS_NARROW
#define OF(name) NAME(name##_narrow)
#include "kernels.c"
#undef BYTES
#undef ROWS
#undef OF
#define BYTES WIDE
#define ROWS ROWS_WIDE
#define OF(name) NAME(name##_wide)
#include "kernels.c"
#undef BYTES
#undef ROWS
#undef OF

/* How many blocks of samples a pair of runs has at most. */
static integer NAME(blocks_of)(const struct sum *s) {
    return (s->batch * samples_of(&s->rows, 0) * samples_of(&s->columns, 0) + BLOCK - 1) / BLOCK;
}

static integer NAME(tasks_of)(const struct sum *s) {
    return (s->rows.end - s->rows.begin) * (s->columns.end - s->columns.begin) * NAME(blocks_of)(s);
}

/* The sums of blocks of samples, counted by vertical run, horizontal run and block. */
static void NAME(blocks)(const struct sum *s, integer from, integer to) {
    integer panels = (s->out + s->width - 1) / s->width, blocks = NAME(blocks_of)(s);
    for (integer task = from; task < to; task++) {
        integer pair = task / blocks, begin = task % blocks * BLOCK, reads[BLOCK], writes[BLOCK];
        integer across = s->columns.end - s->columns.begin;
        integer row = s->rows.begin + pair / across, column = s->columns.begin + pair % across;
        integer samples = s->batch * samples_of(&s->rows, row) * samples_of(&s->columns, column) - begin;
        if (samples > BLOCK) samples = BLOCK;
        if (samples <= 0) continue;
        NAME(locate)(s, row, column, begin, begin + samples, reads, writes);
        for (integer group = 0; group < s->groups; group++)
            for (integer panel = 0; panel < panels; panel++)
                if (s->depthwise) NAME(panel_narrow)(s, 1, row, column, group, panel, samples, reads, writes);
                else if (s->width * sizeof(REAL) == NARROW)
                    NAME(panel_narrow)(s, 0, row, column, group, panel, samples, reads, writes);
                else NAME(panel_wide)(s, 0, row, column, group, panel, samples, reads, writes);
    }
}

/* The sums of a packed image: a `struct sum`. */
void NAME(correlate)(const void *given, integer part, integer parts) {
    const struct sum *s = given;
    integer tasks = NAME(tasks_of)(s);
    NAME(blocks)(s, tasks * part / parts, tasks * (part + 1) / parts);
}

/* The gradient of the table, a `struct sum`. The table is zero before, and y is the gradient of the output. The image and
 * y have numbers to spare at their ends, as many as a vector may read. */
void NAME(gradient)(const void *given, integer part, integer parts) {
    const struct sum *s = given;
    const struct axis *rows = &s->rows, *columns = &s->columns;
    integer all_chunks = 0;
    for (integer column = columns->begin; column < columns->end; column++) all_chunks += NAME(chunks_of)(s, column);
    all_chunks *= places_of(rows) * s->groups;
    integer from = all_chunks * part / parts, to = all_chunks * (part + 1) / parts;
    for (integer image = 0; image < s->batch; image += s->images) {
        integer images = s->batch - image < s->images ? s->batch - image : s->images, seen = 0;
        for (integer row = rows->begin; row < rows->end; row++)
            for (integer column = columns->begin; column < columns->end; column++) {
                integer chunks = NAME(chunks_of)(s, column) * taps_of(rows, row) * s->groups;
                integer begin = from > seen ? from - seen : 0, end = to - seen < chunks ? to - seen : chunks;
                integer of_image = samples_of(rows, row) * samples_of(columns, column), last = (image + images) * of_image;
                seen += chunks;
                for (integer at = image * of_image; at < last && begin < end; at += BLOCK) {
                    integer reads[BLOCK], writes[BLOCK], samples = last - at < BLOCK ? last - at : BLOCK;
                    NAME(locate)(s, row, column, at, at + samples, reads, writes);
                    if (s->depthwise) NAME(lines_narrow)(s, row, column, begin, end, samples, reads, writes);
                    else if (s->width * sizeof(REAL) == NARROW)
                        NAME(chunks_narrow)(s, row, column, begin, end, samples, reads, writes);
                    else NAME(chunks_wide)(s, row, column, begin, end, samples, reads, writes);
                }
            }
    }
}

/* Copy `rows` lines of `columns` numbers to columns, four by four; `down` the columns where the lines of `to` are further
 * apart than those of `from`. */
INLINE void NAME(transpose)(
    const int down, const REAL *from, integer from_line, REAL *to, integer to_line, integer rows, integer columns) {
    typedef REAL four __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL))));
    integer whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (integer outer = 0; outer < (down ? whole_columns : whole_rows); outer += 4)
        for (integer inner = 0; inner < (down ? whole_rows : whole_columns); inner += 4) {
            integer i = down ? inner : outer, j = down ? outer : inner;
            four read[4], half[4];
            EACH(k, 4) read[k] = *(const four *)(from + (i + k) * from_line + j);
            EACH(k, 2) {
                half[2 * k] = __builtin_shufflevector(read[2 * k], read[2 * k + 1], 0, 4, 1, 5);
                half[2 * k + 1] = __builtin_shufflevector(read[2 * k], read[2 * k + 1], 2, 6, 3, 7);
            }
            EACH(k, 2) {
                REAL *at = to + (j + 2 * k) * to_line + i;
                *(four *)at = __builtin_shufflevector(half[k], half[k + 2], 0, 1, 4, 5);
                *(four *)(at + to_line) = __builtin_shufflevector(half[k], half[k + 2], 2, 3, 6, 7);
            }
        }
    for (integer i = 0; i < rows; i++)
        for (integer j = i < whole_rows ? whole_columns : 0; j < columns; j++) to[j * to_line + i] = from[i * from_line + j];
}

/* Pack an image whose channels or columns are neighbours: the lines of the packed one, of all images, `from` to `to`. */
static void NAME(pack_lines)(const struct copy *s, integer from, integer to) {
    integer low = s->left > 0 ? s->left : 0, high = s->left + s->width < s->pixels ? s->left + s->width : s->pixels;
    integer channels = s->channels;
    for (integer at = from; at < to; at++) {
        integer image = at / s->lines, row = at % s->lines - s->top, inside = row >= 0 && row < s->height && low < high;
        integer begin = inside ? low : s->pixels, end = inside ? high : s->pixels;
        REAL *line = (REAL *)s->to + at * s->pixels * channels;
        for (integer i = 0; i < begin * channels; i++) line[i] = 0;
        for (integer i = end * channels; i < s->pixels * channels; i++) line[i] = 0;
        if (!inside) continue;
        const integer *strides = s->strides;
        const REAL *source =
            (const REAL *)s->image + image * strides[0] + row * strides[2] + (begin - s->left) * strides[3];
        line += begin * channels;
        if (strides[1] == 1 || channels == 1)
            for (integer j = 0; j < end - begin; j++)
                for (integer c = 0; c < channels; c++) line[j * channels + c] = source[j * strides[3] + c];
        else NAME(transpose)(0, source, strides[1], line, channels, channels, end - begin);
    }
}

/* Pack an image, and some zeros behind it: a `struct copy`. */
void NAME(pack)(const void *given, integer part, integer parts) {
    const struct copy *s = given;
    integer all = s->batch * s->lines;
    NAME(pack_lines)(s, all * part / parts, all * (part + 1) / parts);
    for (integer i = 0; part == 0 && i < SPARE; i++) ((REAL *)s->to)[all * s->pixels * s->channels + i] = 0;
}

/* Copy an image of whole lines, with the channels last, back to one whose columns are neighbours: a `struct copy`, whose
 * strides are those of `to`. */
void NAME(unpack)(const void *given, integer part, integer parts) {
    const struct copy *s = given;
    integer all = s->batch * s->height, line = s->width * s->channels;
    for (integer at = all * part / parts; at < all * (part + 1) / parts; at++) {
        integer first = at / s->height * s->strides[0] + at % s->height * s->strides[2];
        NAME(transpose)(
            1, (const REAL *)s->image + at * line, s->channels, (REAL *)s->to + first, s->strides[1], s->width,
            s->channels);
    }
}

/* All of a sum, piece by piece: a `struct whole`. */
void NAME(convolve)(const void *given, integer part, integer parts) {
    const struct whole *w = given;
    const struct axis *rows = &w->sum.rows;
    integer most = samples_of(rows, 0), bands = (most + w->samples - 1) / w->samples;
    integer pieces = (w->sum.batch + w->sum.images - 1) / w->sum.images * bands;
    integer image_line = w->sum.pixels * w->sum.channels;
    for (integer piece = part; piece < pieces; piece += parts) {
        struct sum s = w->sum;
        struct copy source = w->source;
        integer image = piece / bands * s.images, sample = piece % bands * w->samples;
        integer samples = most - sample < w->samples ? most - sample : w->samples, line = sample * rows->advance;
        if (s.batch - image < s.images) s.images = s.batch - image;
        s.batch = s.images;
        s.rows.size = (sample + samples) * rows->runs < rows->size ? samples * rows->runs : rows->size - sample * rows->runs;
        s.lines = w->sum.lines - (most - samples) * rows->advance;
        source.image = (const REAL *)source.image + image * source.strides[0];
        source.to = (REAL *)w->rooms + part * w->room;
        source.batch = s.batch;
        source.lines = s.lines;
        source.top -= line;
        NAME(pack_lines)(&source, 0, s.batch * s.lines);
        s.image = source.to;
        integer packed = s.batch * s.lines * image_line, *strides = s.y_strides;
        for (integer i = 0; i < SPARE; i++) ((REAL *)source.to)[packed + i] = 0;
        if (w->back.to) s.y = (REAL *)source.to + packed + SPARE;
        else s.y = (REAL *)s.y + image * strides[0] + sample * rows->runs * strides[1];
        if (w->back.to) strides[0] = s.rows.size * strides[1];
        NAME(blocks)(&s, 0, NAME(tasks_of)(&s));
        for (integer at = 0; w->back.to && at < s.batch * s.rows.size; at++) {
            const integer *to = w->back.strides, row = sample * rows->runs + at % s.rows.size;
            NAME(transpose)(
                1, (const REAL *)s.y + at * strides[1], strides[2],
                (REAL *)w->back.to + (image + at / s.rows.size) * to[0] + row * to[2], to[1], s.columns.size, strides[2]);
        }
    }
}

/* The functions of a pair of runs, of which there are `places`, to the room of a part. */
static void NAME(take_pair)(const struct made *m, integer row, integer column, REAL *room) {
    const struct axis *rows = &m->sum.rows, *columns = &m->sum.columns;
    integer line = taps_of(columns, column) * m->features;
    for (integer i = 0; i < taps_of(rows, row); i++) {
        integer at = (rows->place[row] + i) * places_of(columns) + columns->place[column];
        for (integer k = 0; k < line; k++) room[i * line + k] = ((const REAL *)m->functions)[at * m->features + k];
    }
    integer taken = taps_of(rows, row) * line;
    for (integer k = 0; k < SPARE; k++) room[taken + k] = 0;
}

/* The sum of one pair of runs, with its weights in `table`. */
static struct sum NAME(pair)(const struct made *m, integer row, integer column, REAL *table) {
    struct sum s = m->sum;
    s.rows.begin = row, s.rows.end = row + 1;
    s.columns.begin = column, s.columns.end = column + 1;
    s.table = table;
    return s;
}

/* The product of one panel, of so many places. */
static struct sum NAME(panel_of)(const struct made *m, const REAL *functions, integer places, const REAL *matrices,
    REAL *y) {
    struct sum s = m->product;
    s.columns.size = s.pixels = places;
    s.image = functions;
    s.table = (REAL *)matrices;
    s.y = y;
    return s;
}

/* All of a sum, pair by pair of runs: a `struct made`. */
void NAME(make)(const void *given, integer part, integer parts) {
    const struct made *m = given;
    const struct sum *all = &m->sum;
    integer across = all->columns.runs, pairs = all->rows.runs * across, of_panel = all->in * m->features * all->width;
    REAL *functions = (REAL *)m->rooms + part * m->room, *table = functions + m->most * m->features + SPARE;
    for (integer pair = pairs * part / parts; pair < pairs * (part + 1) / parts; pair++) {
        integer row = pair / across, column = pair % across;
        integer places = taps_of(&all->rows, row) * taps_of(&all->columns, column);
        NAME(take_pair)(m, row, column, functions);
        for (integer panel = 0; panel < m->panels; panel++) {
            struct sum p = NAME(panel_of)(
                m, functions, places, (const REAL *)m->matrices + panel * of_panel,
                table + panel * places * all->in * all->width);
            NAME(blocks)(&p, 0, NAME(tasks_of)(&p));
        }
        struct sum s = NAME(pair)(m, row, column, table);
        NAME(blocks)(&s, 0, NAME(tasks_of)(&s));
    }
}

/* The functions at the places of both axes, and some zeros behind them: a `struct filter`. */
static void NAME(take)(const void *given, integer part, integer parts) {
    const struct filter *f = given;
    for (integer i = f->places[0] * part / parts; i < f->places[0] * (part + 1) / parts; i++)
        for (integer j = 0; j < f->places[1]; j++) {
            integer row = f->slots[0] ? f->slots[0][i] : i, column = f->slots[1] ? f->slots[1][j] : j;
            const REAL *from = (const REAL *)f->functions + (row * f->columns + column) * f->features;
            REAL *to = (REAL *)f->taken + (i * f->places[1] + j) * f->features;
            for (integer k = 0; k < f->features; k++) to[k] = from[k];
        }
    integer taken = f->places[0] * f->places[1] * f->features;
    for (integer i = 0; part == 0 && i < SPARE; i++) ((REAL *)f->taken)[taken + i] = 0;
}

/* The channel, of all groups, that a lane of a panel has, or -1 beyond the last of a group. */
INLINE integer NAME(channel)(const struct filter *f, integer panel, integer lane) {
    integer of_group = f->panels / f->groups, channel = panel % of_group * f->width + lane;
    return channel < f->out ? panel / of_group * f->out + channel : -1;
}

/* The coefficients, arranged to matrices: a `struct filter`. */
static void NAME(arrange)(const void *given, integer part, integer parts) {
    const struct filter *f = given;
    for (integer panel = f->panels * part / parts; panel < f->panels * (part + 1) / parts; panel++)
        for (integer i = 0; i < f->in; i++)
            for (integer feature = 0; feature < f->features; feature++) {
                REAL *to = (REAL *)f->matrices + ((panel * f->in + i) * f->features + feature) * f->width;
                const REAL *from = (const REAL *)f->coefficients + feature * f->strides[0] + i * f->strides[2];
                for (integer lane = 0; lane < f->width; lane++) {
                    integer channel = NAME(channel)(f, panel, lane);
                    to[lane] = channel < 0 ? 0 : from[channel * f->strides[1]];
                }
            }
}

/* The product of one panel of a filter. */
static struct sum NAME(product)(const struct filter *f, integer panel, REAL *matrices) {
    struct sum s = f->product;
    s.image = f->taken;
    s.table = matrices + panel * f->in * f->features * f->width;
    s.y = (REAL *)f->table + panel * f->places[0] * f->places[1] * f->in * f->width;
    return s;
}

/* The table: a `struct filter`. */
static void NAME(multiply)(const void *given, integer part, integer parts) {
    const struct filter *f = given;
    integer blocks = NAME(tasks_of)(&f->product), all = f->panels * blocks;
    for (integer task = all * part / parts; task < all * (part + 1) / parts; task++) {
        struct sum s = NAME(product)(f, task / blocks, f->matrices);
        NAME(blocks)(&s, task % blocks, task % blocks + 1);
    }
}

/* The weights of a filter: the table, or where there is none just the functions that are taken and the matrices. */
void NAME(weigh)(const struct filter *f, parallel_t *parallel) {
    integer functions = f->places[0] * f->places[1] * f->features, matrices = f->panels * f->in * f->width;
    if (f->taken != f->functions) run(NAME(take), f, parts_for(f, 16 * functions), parallel);
    run(NAME(arrange), f, parts_for(f, 16 * f->features * matrices), parallel);
    if (f->table) run(NAME(multiply), f, parts_for(f, functions * matrices), parallel);
}

/* Matrices as a contraction takes them, (panels of features, panels * in * width, width): a `struct filter_gradient`. */
static void NAME(turn)(const void *given, integer part, integer parts) {
    const struct filter_gradient *g = given;
    const struct filter *f = &g->filter;
    integer lines = f->panels * f->in, width = g->contraction.width, panels = (f->features + width - 1) / width;
    for (integer line = lines * part / parts; line < lines * (part + 1) / parts; line++)
        for (integer at = 0; at < panels * width; at++) {
            const REAL *from = (const REAL *)f->matrices + (line * f->features + at) * f->width;
            REAL *to = (REAL *)g->turned + (at / width * lines + line) * f->width * width + at % width;
            for (integer lane = 0; lane < f->width; lane++) to[lane * width] = at < f->features ? from[lane] : 0;
        }
}

/* The gradient of the matrices from that of the table, panel by panel: a `struct filter_gradient`. */
static void NAME(unmultiply)(const void *given, integer part, integer parts) {
    const struct filter_gradient *g = given;
    for (integer panel = 0; panel < g->filter.panels; panel++) {
        struct sum s = NAME(product)(&g->filter, panel, g->of_matrices);
        NAME(gradient)(&s, part, parts);
    }
}

/* The gradient of the coefficients from that of the matrices: a `struct filter_gradient`. */
static void NAME(rearrange)(const void *given, integer part, integer parts) {
    const struct filter_gradient *g = given;
    const struct filter *f = &g->filter;
    integer lines = f->panels * f->in;
    for (integer line = lines * part / parts; line < lines * (part + 1) / parts; line++)
        for (integer feature = 0; feature < f->features; feature++)
            for (integer lane = 0; lane < f->width; lane++) {
                integer channel = NAME(channel)(f, line / f->in, lane);
                if (channel < 0) continue;
                REAL *to = (REAL *)g->of_coefficients + feature * g->strides[0] + channel * g->strides[1];
                to[line % f->in * g->strides[2]] =
                    ((const REAL *)g->of_matrices)[(line * f->features + feature) * f->width + lane];
            }
}

/* The gradients of functions and matrices for the vertical runs from `first` to `last`. */
static void NAME(unweigh_runs)(const struct filter_gradient *all, integer first, integer last, parallel_t *parallel) {
    struct filter_gradient g = *all;
    struct filter *f = &g.filter;
    const integer *place = g.sum.rows.place;
    integer matrices = f->panels * f->in * f->width, of_matrices = matrices * f->features;
    integer before = place[first] * f->places[1] * f->features, places = (place[last] - place[first]) * f->places[1];
    g.sum.rows.begin = first, g.sum.rows.end = last;
    f->places[0] = place[last] - place[first];
    f->taken = (REAL *)f->taken + before;
    f->product.columns.size = f->product.pixels = g.contraction.columns.size = g.contraction.pixels = places;
    g.contraction.y = (REAL *)g.of_functions + before;
    if (first) g.of_matrices = (REAL *)g.of_matrices + of_matrices;
    for (integer i = 0; i < of_matrices; i++) ((REAL *)g.of_matrices)[i] = 0;
    for (integer i = 0; i < places * matrices; i++) ((REAL *)f->table)[i] = 0;
    run(NAME(gradient), &g.sum, parts_for(f, g.samples * places * matrices), parallel);
    run(NAME(correlate), &g.contraction, parts_for(f, places * of_matrices), parallel);
    run(NAME(unmultiply), &g, parts_for(f, places * of_matrices), parallel);
    REAL *sum = all->of_matrices;
    for (integer i = 0; first && i < of_matrices; i++) sum[i] += sum[of_matrices + i];
}

/* All of a `struct filter_gradient`. */
void NAME(unweigh)(const struct filter_gradient *g, parallel_t *parallel) {
    const struct filter *f = &g->filter;
    const struct axis *rows = &g->sum.rows;
    integer of_matrices = f->panels * f->in * f->width * f->features;
    for (int i = 0; i < 2; i++) {
        const struct copy *copy = i ? &g->output : &g->image;
        run(NAME(pack), copy, parts_for(f, 16 * copy->batch * copy->lines * copy->pixels * copy->channels), parallel);
    }
    run(NAME(take), f, parts_for(f, 16 * f->places[0] * f->places[1] * f->features), parallel);
    run(NAME(arrange), f, parts_for(f, 16 * of_matrices), parallel);
    run(NAME(turn), g, parts_for(f, 16 * of_matrices), parallel);
    for (integer first = 0, last = 1; first < rows->runs; first = last++) {
        while (last < rows->runs && rows->place[last + 1] - rows->place[first] <= g->lines) last++;
        NAME(unweigh_runs)(g, first, last, parallel);
    }
    run(NAME(rearrange), g, parts_for(f, 16 * of_matrices), parallel);
}

#else /* for each width of a panel */

#define vec OF(vec)
#define WIDTH (BYTES / (int)sizeof(REAL))

typedef REAL vec __attribute__((vector_size(BYTES), aligned(sizeof(REAL))));

INLINE vec OF(all)(REAL number) {
    vec result;
    EACH(lane, WIDTH) result[lane] = number;
    return result;
}

/* Add to the sums of a panel, for ROWS samples, some lines of taps: each `blocks` blocks of `numbers`, the first of all at
 * `x`. */
INLINE void OF(tile)(
    const struct sum *s, const int depthwise, const REAL *const *x, const vec *weights, integer lines, integer blocks,
    integer numbers, vec *total) {
    vec sums[ROWS];
    EACH(i, ROWS) sums[i] = total[i];
    for (integer line = 0; line < lines; line++, weights += places_of(&s->columns) * s->in)
        for (integer tap = 0; tap < blocks; tap++) {
            const REAL *read[ROWS];
            const vec *w = weights + tap * numbers;
            EACH(i, ROWS) read[i] = x[i] + (line * s->pixels + tap) * s->channels;
            FOUR_TIMES for (integer k = 0; k < numbers; k++)
                EACH(i, ROWS) {
                    vec number = depthwise ? *(const vec *)read[i] : OF(all)(read[i][k]);
                    sums[i] = __builtin_elementwise_fma(number, w[k], sums[i]);
                }
        }
    EACH(i, ROWS) total[i] = sums[i];
}

/* The sums of a panel for some samples of a pair of runs. As many lines of taps at a time as have weights that stay in the
 * cache meanwhile. */
INLINE void OF(panel)(
    const struct sum *s, const int depthwise, integer row, integer column, integer group, integer panel,
    integer samples, const integer *reads, const integer *writes) {
    integer panels = (s->out + WIDTH - 1) / WIDTH, lines = taps_of(&s->rows, row), taps = taps_of(&s->columns, column);
    integer first = group * s->out + panel * WIDTH, left = s->out - panel * WIDTH;
    integer merged = s->in == s->channels, blocks = merged ? 1 : taps; /* then the taps of a line are one block */
    integer together = NEAR / (taps * s->in * BYTES + 1) + 1;
    const REAL *image = (const REAL *)s->image + (depthwise ? panel * WIDTH : group * s->in);
    const vec *weights = (const vec *)NAME(weights)(s, row, column, group * panels + panel);
    vec sums[BLOCK + ROWS], bias = {0};
    if (s->bias)
        for (int c = 0; c < WIDTH && c < left; c++) bias[c] = ((const REAL *)s->bias)[first + c];
    if (together >= lines && left >= WIDTH) { /* then no sum waits in memory */
        for (integer at = 0; at < samples; at += ROWS) {
            const REAL *x[ROWS];
            vec here[ROWS];
            EACH(i, ROWS) x[i] = image + reads[at + i < samples ? at + i : at], here[i] = (vec){0};
            OF(tile)(s, depthwise, x, weights, lines, blocks, merged ? taps * s->in : s->in, here);
            EACH(i, ROWS) if (at + i < samples) *(vec *)((REAL *)s->y + writes[at + i] + first) = here[i] + bias;
        }
        return;
    }
    for (integer k = 0; k < samples + ROWS; k++) sums[k] = (vec){0};
    for (integer line = 0; line < lines; line += together) {
        integer here = lines - line < together ? lines - line : together;
        for (integer at = 0; at < samples; at += ROWS) {
            const REAL *x[ROWS];
            EACH(i, ROWS) x[i] = image + reads[at + i < samples ? at + i : at];
            OF(tile)(s, depthwise, x, weights, here, blocks, merged ? taps * s->in : s->in, sums + at);
        }
        image += here * s->pixels * s->channels;
        weights += here * places_of(&s->columns) * s->in;
    }
    for (integer at = 0; at < samples; at++) {
        REAL *y = (REAL *)s->y + writes[at] + first;
        vec sum = sums[at] + bias;
        if (left >= WIDTH) *(vec *)y = sum;
        else
            for (integer c = 0; c < left; c++) y[c] = sum[c];
    }
}

/* Add to the gradient of `wanted` neighbouring weights, ROWS at most, the sum over samples of what they read times the
 * gradient there. */
INLINE void OF(outer)(
    const REAL *x, const integer *reads, const vec *gradient, integer samples, int wanted, vec *weights) {
    vec sums[ROWS];
    EACH(i, ROWS) sums[i] = (vec){0};
    FOUR_TIMES for (integer k = 0; k < samples; k++)
        EACH(i, ROWS) sums[i] = __builtin_elementwise_fma(OF(all)(x[reads[k] + i]), gradient[k], sums[i]);
    EACH(i, ROWS) if (i < wanted) weights[i] += sums[i];
}

/* The gradient of the weights of a pair of runs, for some samples: those of the chunks from `begin` to `end`, counted by
 * group, line of taps and place in the line. */
INLINE void OF(chunks)(
    const struct sum *s, integer row, integer column, integer begin, integer end, integer samples, const integer *reads,
    const integer *writes) {
    integer panels = (s->out + WIDTH - 1) / WIDTH, lines = taps_of(&s->rows, row);
    integer numbers = taps_of(&s->columns, column) * s->in, of_line = NAME(chunks_of)(s, column);
    int as_is = s->groups == 1 && s->channels <= FEW_CHANNELS;
    REAL gathered[CHUNK * BLOCK + ROWS];
    integer places[BLOCK];
    vec y[PANELS * BLOCK];
    for (integer k = 0; k < samples; k++) places[k] = as_is ? reads[k] : k * CHUNK;
    for (integer group = begin / lines / of_line; group * lines * of_line < end; group++)
        for (integer first_panel = 0; first_panel < panels; first_panel += PANELS) {
            integer last_panel = first_panel + PANELS < panels ? first_panel + PANELS : panels;
            for (integer k = 0; k < samples; k++)
                for (integer panel = first_panel; panel < last_panel; panel++)
                    y[(panel - first_panel) * BLOCK + k] =
                        *(const vec *)((const REAL *)s->y + writes[k] + group * s->out + panel * WIDTH);
            integer first = group * lines * of_line, last = first + lines * of_line;
            for (integer chunk = begin > first ? begin : first; chunk < (end < last ? end : last); chunk++) {
                integer line = (chunk - first) / of_line, from = (chunk - first) % of_line * CHUNK;
                integer to = from + CHUNK < numbers ? from + CHUNK : numbers;
                const REAL *x = gathered;
                if (as_is) x = (const REAL *)s->image + line * s->pixels * s->channels + from;
                else NAME(read)(s, line, group, from, to, samples, reads, gathered);
                for (integer panel = first_panel; panel < last_panel; panel++) {
                    REAL *weights = NAME(weights)(s, row, column, group * panels + panel) +
                        line * places_of(&s->columns) * s->in * WIDTH;
                    for (integer at = from; at < to; at += ROWS)
                        OF(outer)(
                            x + at - from, places, y + (panel - first_panel) * BLOCK, samples,
                            to - at < ROWS ? (int)(to - at) : ROWS, (vec *)weights + at);
                }
            }
        }
}

#if BYTES == NARROW

/* The same for a depthwise sum, for the lines of taps from `begin` to `end`. */
INLINE void OF(lines)(
    const struct sum *s, integer row, integer column, integer begin, integer end, integer samples, const integer *reads,
    const integer *writes) {
    integer taps = taps_of(&s->columns, column), panels = (s->out + WIDTH - 1) / WIDTH;
    for (integer panel = 0; panel < panels; panel++)
        for (integer line = begin; line < end; line++) {
            vec *weights = (vec *)NAME(weights)(s, row, column, panel) + line * places_of(&s->columns);
            for (integer first = 0; first < taps; first += ROWS) {
                integer here = taps - first < ROWS ? taps - first : ROWS;
                const REAL *image = (const REAL *)s->image + (line * s->pixels + first) * s->channels + panel * WIDTH;
                vec sums[ROWS];
                EACH(i, ROWS) sums[i] = (vec){0};
                for (integer k = 0; k < samples; k++) {
                    vec gradient = *(const vec *)((const REAL *)s->y + writes[k] + panel * WIDTH);
                    EACH(i, ROWS) {
                        vec number = *(const vec *)(image + reads[k] + (i < here ? i : 0) * s->channels);
                        sums[i] = __builtin_elementwise_fma(number, gradient, sums[i]);
                    }
                }
                EACH(i, ROWS) if (i < here) weights[first + i] += sums[i];
            }
        }
}

#endif

#undef vec
#undef WIDTH
#endif
