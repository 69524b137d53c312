// The kernels of pixels.cu as the driver launches them: by name, with a list of arguments or a packed buffer of them.
#pragma once

typedef Work (*Binder)(void** list, const char* packed, size_t size, Place grid, Place block);

template <typename T>
static T take(void**& list, const char* packed, size_t& offset) {
    if (list) return *(T*)*list++;
    offset = (offset + alignof(T) - 1) / alignof(T) * alignof(T);
    T value = *(const T*)(packed + offset);
    offset += sizeof(T);
    return value;
}

template <typename T>
static T on_the_host(T value) {
    if constexpr (std::is_pointer_v<T>) {
        char* at = value ? host((Pointer)value) : nullptr;
        if (!at) fault = ILLEGAL_ADDRESS;
        return (T)at;
    } else {
        return value;
    }
}

template <auto kernel, typename... T>
static Work bind_to(void (*)(T...), void** list, const char* packed, size_t size, Place grid, Place block) {
    size_t offset = 0;
    std::tuple<T...> values{take<T>(list, packed, offset)...};  // in this order, since in braces
    if (packed && offset != size) return nullptr;
    return [=] {
        std::tuple<T...> real = std::apply([](auto... value) { return std::tuple<T...>{on_the_host(value)...}; }, values);
        if (fault) return;
        blockDim = block;
        for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
            for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
                for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++)
                    for (threadIdx.y = 0; threadIdx.y < block.y; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < block.x; threadIdx.x++) std::apply(kernel, real);
    };
}
template <auto kernel>
static Work bind_kernel(void** list, const char* packed, size_t size, Place grid, Place block) {
    return bind_to<kernel>(kernel, list, packed, size, grid, block);
}

#define KERNEL(name) {#name, bind_kernel<name>}
#define ALL(type) KERNEL(cut_##type), KERNEL(cut_strength_##type), KERNEL(put_##type)
static const std::map<std::string, Binder> kernels = {KERNEL(blend), ALL(u8), ALL(u16), ALL(f16), ALL(f32), ALL(f64)};
