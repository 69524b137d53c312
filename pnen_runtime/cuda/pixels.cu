// Between an image on the device and the batches of the network: the arithmetic of pnen_runtime/image.py and tiles.py.
//
// pixels.ptx is made from this file, and kept beside it, by
//     pip install nvidia-cuda-nvrtc-cu11==11.7.99 && python tests/runtime/cuda/make_ptx.py
// An old compiler on purpose: its PTX 7.7 loads on every driver since CUDA 11.7, on every GPU from Turing on.
//
// Every rounding is written out (__fmul_rn, __fadd_rn, __fdiv_rn), so that no multiplication and addition are fused and
// the results are those of numpy, bit for bit. Blocks are 32x8 threads; x runs over columns, y over rows.

typedef long long int64;
typedef unsigned char byte;

struct f16 {
    unsigned short bits;
};

__device__ float widen(f16 value);
__device__ f16 narrow(float value);

#ifdef __CUDACC__  // a test compiles this file for the host
__device__ float widen(f16 value) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
}

__device__ f16 narrow(float value) {
    f16 half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(value));
    return half;
}
#endif

// NaN stays NaN.
__device__ float clip(float value) { return value > 1.0f ? 1.0f : value <= 0.0f ? 0.0f : value; }

__device__ float to_float(byte value) { return (float)value; }
__device__ float to_float(unsigned short value) { return (float)value; }
__device__ float to_float(f16 value) { return widen(value); }
__device__ float to_float(float value) { return value; }
__device__ float to_float(double value) { return __double2float_rn(value); }

__device__ float to_unit(byte value) { return __fdiv_rn((float)value, 255.0f); }
__device__ float to_unit(unsigned short value) { return __fdiv_rn((float)value, 65535.0f); }
__device__ float to_unit(f16 value) { return clip(widen(value)); }
__device__ float to_unit(float value) { return clip(value); }
__device__ float to_unit(double value) { return clip(__double2float_rn(value)); }

__device__ void from_unit(float value, byte* out) { *out = (byte)__float2int_rn(__fmul_rn(value, 255.0f)); }
__device__ void from_unit(float value, unsigned short* out) {
    *out = (unsigned short)__float2int_rn(__fmul_rn(value, 65535.0f));
}
__device__ void from_unit(float value, f16* out) { *out = narrow(value); }
__device__ void from_unit(float value, float* out) { *out = value; }
__device__ void from_unit(float value, double* out) { *out = (double)value; }

// Tiles lie `step` apart, and the last is flush with the far edge.
__device__ int left_of(int tile, int step, int wide, int width) { return min(tile * step, width - wide); }

// The row or column that stands at a place beyond the picture: on its other side (border 1), or turned back (2).
__device__ int beyond(int place, int length, int border) {
    if (place >= 0 && place < length) return place;
    if (border == 1) return (place + length) % length;
    return place < 0 ? -place : 2 * (length - 1) - place;
}

// Tiles first..first+count-1 of the row of tiles that begins at image row `top`, as a batch (count, channels, high,
// wide) in [0, 1]; grey is repeated. `width` is that of the picture (height, columns) continued by `beside` columns on
// either side, and `top` is negative where it begins above. Strides are bytes and may be negative. Grid over (wide, high, count * channels).
template <typename T>
__device__ void cut(const byte* image, int64 row_stride, int64 column_stride, int64 channel_stride, int given,
                    float* batch, int count, int channels, int high, int wide, int top, int first, int step,
                    int width, int border, int height, int columns, int beside) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, plane = blockIdx.z;
    if (x >= wide || y >= high || plane >= count * channels) return;
    int column = beyond(left_of(first + plane / channels, step, wide, width) + x - beside, columns, border);
    int row = beyond(top + y, height, border);
    int channel = given == 1 ? 0 : plane % channels;
    const byte* pixel = image + row * row_stride + column * column_stride + channel * channel_stride;
    batch[((int64)plane * high + y) * wide + x] = to_unit(*(const T*)pixel);
}

// The strengths (H, W) of the same tiles as a batch (count, 1, high, wide), as they are. *bad becomes 1 where one is not
// from `least` to `most`. Grid over (wide, high, count).
template <typename T>
__device__ void cut_strength(const byte* map, int64 row_stride, int64 column_stride, float least, float most,
                             float* batch, int* bad, int count, int high, int wide, int top, int first, int step,
                             int width, int border, int height, int columns, int beside) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, tile = blockIdx.z;
    if (x >= wide || y >= high || tile >= count) return;
    int column = beyond(left_of(first + tile, step, wide, width) + x - beside, columns, border);
    int row = beyond(top + y, height, border);
    float strength = to_float(*(const T*)(map + row * row_stride + column * column_stride));
    if (!(strength >= least && strength <= most)) *bad = 1;
    batch[((int64)tile * high + y) * wide + x] = strength;
}

// Add the tiles first..first+count-1 of the row of tiles at image row `top`, weighed, to `band`: (channels, high,
// width), a ring in which image row y lies in slot y % high. Each value is gathered by one thread, in the order of the
// tiles. *bad becomes 1 where the network gave no number. Grid over (width, high, channels).
extern "C" __global__ void blend(const float* image_batch, const float* smooth_batch, float* band,
                                 const float* row_weights, const float* column_weights, float mix, int* bad,
                                 int count, int channels, int high, int wide, int top, int first, int step,
                                 int width) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, channel = blockIdx.z;
    if (x >= width || y >= high || channel >= channels) return;
    int64 slot = ((int64)channel * high + (top + y) % high) * width + x;
    float sum = band[slot];
    for (int tile = max(first, (x - wide) / step); tile < first + count; tile++) {
        int left = left_of(tile, step, wide, width);
        if (left > x) break;
        if (x >= left + wide) continue;
        int64 at = (((int64)(tile - first) * channels + channel) * high + y) * wide + x - left;
        float smooth = smooth_batch[at];
        if (!(fabsf(smooth) <= 3.402823466e+38f)) *bad = 1;
        float value = clip(smooth);
        if (mix != 1.0f) {
            float image = image_batch[at];
            value = clip(__fadd_rn(image, __fmul_rn(mix, __fsub_rn(value, image))));
        }
        float weight = __fmul_rn(row_weights[y], column_weights[(int64)tile * wide + x - left]);
        sum = __fadd_rn(sum, __fmul_rn(value, weight));
    }
    band[slot] = sum;
}

// Write rows begin..begin+rows-1 out of the ring, clipped, scaled and rounded half to even, and clear them in it; what is
// beyond the picture (height, columns), continued by `above` rows and `beside` columns, is left out. A grey image gets
// the luma (ITU-R BT.601) of an RGB ring. Grid over (width, rows).
template <typename T>
__device__ void put(float* band, byte* out, int64 row_stride, int64 column_stride, int64 channel_stride, int channels,
                    int given, int high, int width, int begin, int rows, int above, int beside, int height,
                    int columns) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || row >= rows) return;
    int y = begin + row;
    int64 plane = (int64)high * width;
    float* ring = band + (int64)(y % high) * width + x;
    float values[3];
    for (int channel = 0; channel < channels; channel++) {
        values[channel] = ring[channel * plane];
        ring[channel * plane] = 0.0f;
    }
    y -= above;
    x -= beside;
    if (x < 0 || x >= columns || y < 0 || y >= height) return;
    byte* pixel = out + y * row_stride + x * column_stride;
    if (given == 1 && channels == 3)
        values[0] = __fadd_rn(__fadd_rn(__fmul_rn(values[0], 0.299f), __fmul_rn(values[1], 0.587f)),
                              __fmul_rn(values[2], 0.114f));
    for (int channel = 0; channel < given; channel++)
        from_unit(clip(values[channel]), (T*)(pixel + channel * channel_stride));
}

#define KERNELS(name, T)                                                                                              \
    extern "C" __global__ void cut_##name(const byte* image, int64 row_stride, int64 column_stride,                   \
                                          int64 channel_stride, int given, float* batch, int count, int channels,     \
                                          int high, int wide, int top, int first, int step, int width, int border,    \
                                          int height, int columns, int beside) {                                      \
        cut<T>(image, row_stride, column_stride, channel_stride, given, batch, count, channels, high, wide, top,      \
               first, step, width, border, height, columns, beside);                                                  \
    }                                                                                                                 \
    extern "C" __global__ void cut_strength_##name(const byte* map, int64 row_stride, int64 column_stride,            \
                                                   float least, float most, float* batch, int* bad, int count,        \
                                                   int high, int wide, int top, int first, int step, int width,       \
                                                   int border, int height, int columns, int beside) {                 \
        cut_strength<T>(map, row_stride, column_stride, least, most, batch, bad, count, high, wide, top, first, step, \
                        width, border, height, columns, beside);                                                      \
    }                                                                                                                 \
    extern "C" __global__ void put_##name(float* band, byte* out, int64 row_stride, int64 column_stride,              \
                                          int64 channel_stride, int channels, int given, int high, int width,         \
                                          int begin, int rows, int above, int beside, int height, int columns) {      \
        put<T>(band, out, row_stride, column_stride, channel_stride, channels, given, high, width, begin, rows, above,\
               beside, height, columns);                                                                              \
    }

KERNELS(u8, byte)
KERNELS(u16, unsigned short)
KERNELS(f16, f16)
KERNELS(f32, float)
KERNELS(f64, double)
