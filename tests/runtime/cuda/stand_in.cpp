// A libcuda.so.1 without a GPU: it proves that the runtime calls the driver rightly and that the logic of the kernels is
// right. It proves nothing of a GPU: not its speed, its compiler, its limits, nor that the PTX loads.
//
// Device memory is host memory at shifted addresses, so that the host cannot touch it unseen. A stream runs when somebody
// waits for it and not before, which shows every wait that is missing. The kernels are pixels.cu compiled for the host.
#include <dlfcn.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "on_the_host.h"

enum { OK, INVALID_VALUE, NO_MEMORY, NOT_INITIALIZED, NO_DEVICE = 100, INVALID_PTX = 218, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
       UNSUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };
typedef unsigned long long Pointer;
typedef std::function<void()> Work;

struct Graph { std::vector<Work> work; bool broken = false; };
struct Stream { std::deque<Work> queue; Graph* capture = nullptr; };
struct Event { bool timing; Stream* stream = nullptr; Graph* capture = nullptr; long recorded = 0, reached = 0; double ms = 0; };

static const Pointer SHIFT = 1ull << 48;  // no program can read there
static const size_t GUARD = 64;           // bytes on either side of an allocation, to see who writes past its end
static std::recursive_mutex lock;
static bool present = true;
static size_t total = 1 << 30, used = 0;
static int retained = 0, fault = 0, damage = 0, ordinal = 0, primary, module_handle;
static std::map<Pointer, size_t> memory;
static std::map<char*, size_t> pinned;
static std::set<Stream*> streams;
static std::set<Event*> events;
static std::set<Graph*> graphs;
static std::map<std::string, int> refusals;
static Stream legacy;
static thread_local Stream of_thread;
static thread_local std::vector<void*> contexts;
static thread_local int capturing = 0;

static int begin(const char* name, bool needs_context) {
    auto refusal = refusals.find(name);
    if (refusal != refusals.end() && refusal->second) return refusal->second;
    if (!present) return NOT_INITIALIZED;
    if (needs_context && (contexts.empty() || contexts.back() != &primary || !retained)) return INVALID_CONTEXT;
    return needs_context ? fault : OK;
}
#define ENTER(context)                                    \
    std::lock_guard<std::recursive_mutex> locked(lock);   \
    if (int refused = begin(__func__, context)) return refused;
#define CUDA extern "C" __attribute__((visibility("default"))) int

static char* host(Pointer device, size_t size = 1) {
    auto next = memory.upper_bound(device);
    if (next == memory.begin()) return nullptr;
    auto [start, length] = *--next;
    return device + size <= start + length ? (char*)(device - SHIFT) : nullptr;
}
static bool is_pinned(const void* at, size_t size) {
    auto next = pinned.upper_bound((char*)at);
    return next != pinned.begin() && (--next, (char*)at + size <= next->first + next->second);
}
static Stream* find(void* handle) {
    if ((uintptr_t)handle < 2) return &legacy;
    if ((uintptr_t)handle == 2) return &of_thread;
    return streams.count((Stream*)handle) ? (Stream*)handle : nullptr;
}
static void run(Stream* stream, const std::function<bool()>& enough = [] { return false; }) {
    while (!stream->queue.empty() && !enough()) {
        Work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        work();
    }
}
static int put(Stream* stream, Work work) {
    if (!stream) return INVALID_HANDLE;
    if (stream->capture) stream->capture->work.push_back(work);
    else stream->queue.push_back(work);
    return OK;
}
static int forbidden_in_capture(Stream* stream = nullptr) {  // such a call breaks the capture
    int broken = OK;
    for (Stream* one : streams)
        if (one->capture && (one == stream || (!stream && capturing))) one->capture->broken = true, broken = CAPTURE_UNSUPPORTED;
    return broken;
}

CUDA cuInit(unsigned) { std::lock_guard<std::recursive_mutex> locked(lock); return present ? OK : NO_DEVICE; }
CUDA cuDriverGetVersion(int* version) { ENTER(false) *version = 13000; return OK; }
CUDA cuDeviceGet(int* device, int ordinal) { ENTER(false) *device = 0; return ordinal ? 101 : OK; }
CUDA cuDeviceGetCount(int* count) { ENTER(false) *count = 1; return OK; }
CUDA cuDeviceGetName(char* name, int size, int) { ENTER(false) strncpy(name, "stand-in", size); return OK; }
CUDA cuDeviceGetAttribute(int* value, int which, int) { ENTER(false) *value = which == 75 ? 7 : which == 76 ? 5 : 0; return OK; }
CUDA cuDeviceTotalMem_v2(size_t* size, int) { ENTER(false) *size = total; return OK; }

CUDA cuDevicePrimaryCtxRetain(void** context, int) { ENTER(false) retained++; *context = &primary; return OK; }
CUDA cuDevicePrimaryCtxRelease_v2(int) { ENTER(false) if (!retained) return INVALID_CONTEXT; retained--; return OK; }
CUDA cuCtxPushCurrent_v2(void* context) { ENTER(false) contexts.push_back(context); return OK; }
CUDA cuCtxPopCurrent_v2(void** context) {
    ENTER(false)
    if (contexts.empty()) return INVALID_CONTEXT;
    if (context) *context = contexts.back();
    contexts.pop_back();
    return OK;
}
CUDA cuCtxGetCurrent(void** context) { ENTER(false) *context = contexts.empty() ? nullptr : contexts.back(); return OK; }
CUDA cuCtxSetCurrent(void* context) {
    ENTER(false)
    if (!contexts.empty()) contexts.pop_back();
    if (context) contexts.push_back(context);
    return OK;
}
CUDA cuCtxGetDevice(int* device) { ENTER(true) *device = 0; return OK; }
CUDA cuCtxSynchronize() { ENTER(true) for (Stream* stream : streams) run(stream); run(&legacy); run(&of_thread); return fault; }

CUDA cuMemGetInfo_v2(size_t* free, size_t* all) { ENTER(true) *free = total - used; *all = total; return OK; }
CUDA cuMemAlloc_v2(Pointer* pointer, size_t size) {
    ENTER(true)
    if (int code = forbidden_in_capture()) return code;
    if (!size) return INVALID_VALUE;
    if (size > total - used) return NO_MEMORY;
    char* start = (char*)aligned_alloc(256, (size + 2 * 256 + 255) / 256 * 256) + 256;
    memset(start - GUARD, 0xA5, size + 2 * GUARD);
    *pointer = (Pointer)start + SHIFT;
    memory[*pointer] = size;
    used += size;
    return OK;
}
CUDA cuPointerGetAttribute(int* value, int which, Pointer pointer) {
    ENTER(false)
    if (which != 9 || !host(pointer)) return INVALID_VALUE;  // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    *value = ordinal;
    return OK;
}
static void look_for_damage(Pointer pointer, size_t size) {
    char* start = (char*)(pointer - SHIFT);
    for (size_t i = 0; i < GUARD; i++) damage += start[-1 - (long)i] != (char)0xA5 || start[size + i] != (char)0xA5;
}
CUDA cuMemFree_v2(Pointer pointer) {
    ENTER(true)
    if (int code = forbidden_in_capture()) return code;
    if (!memory.count(pointer)) return INVALID_VALUE;
    cuCtxSynchronize();  // the driver waits too
    look_for_damage(pointer, memory[pointer]);
    free((char*)(pointer - SHIFT) - 256);
    used -= memory[pointer];
    memory.erase(pointer);
    return OK;
}
CUDA cuMemHostAlloc(void** at, size_t size, unsigned) {
    ENTER(true)
    if (int code = forbidden_in_capture()) return code;
    if (!size) return INVALID_VALUE;
    *at = malloc(size);
    pinned[(char*)*at] = size;
    return OK;
}
CUDA cuMemFreeHost(void* at) {
    ENTER(true)
    if (!pinned.erase((char*)at)) return INVALID_VALUE;
    cuCtxSynchronize();
    free(at);
    return OK;
}
static int copy(void* to, const void* from, size_t size, const void* at_host, Stream* stream, bool up) {
    if (!stream) return INVALID_HANDLE;
    if (!to || !from) return INVALID_VALUE;
    if (is_pinned(at_host, size)) return put(stream, [=] { memcpy(to, from, size); });
    if (up) {  // the driver keeps a copy of pageable memory
        std::string kept((const char*)from, size);
        return put(stream, [=] { memcpy(to, kept.data(), size); });
    }
    if (stream->capture) return forbidden_in_capture(stream);
    run(stream);
    memcpy(to, from, size);
    return fault;
}
CUDA cuMemcpyHtoDAsync_v2(Pointer to, const void* from, size_t size, void* stream) {
    ENTER(true)
    return copy(host(to, size), from, size, from, find(stream), true);
}
CUDA cuMemcpyDtoHAsync_v2(void* to, Pointer from, size_t size, void* stream) {
    ENTER(true)
    return copy(to, host(from, size), size, to, find(stream), false);
}
CUDA cuMemsetD8Async(Pointer to, unsigned char value, size_t size, void* stream) {
    ENTER(true)
    char* at = host(to, size);
    return at ? put(find(stream), [=] { memset(at, value, size); }) : INVALID_VALUE;
}
CUDA cuMemsetD32Async(Pointer to, unsigned value, size_t count, void* stream) {
    ENTER(true)
    char* at = to % 4 ? nullptr : host(to, 4 * count);
    return at ? put(find(stream), [=] { std::fill_n((unsigned*)at, count, value); }) : INVALID_VALUE;
}

CUDA cuStreamCreate(Stream** stream, unsigned) { ENTER(true) streams.insert(*stream = new Stream); return OK; }
CUDA cuStreamDestroy_v2(Stream* stream) {
    ENTER(true)
    if (!streams.erase(stream)) return INVALID_HANDLE;
    run(stream);
    delete stream;
    return OK;
}
CUDA cuStreamSynchronize(void* handle) {
    ENTER(true)
    Stream* stream = find(handle);
    if (!stream) return INVALID_HANDLE;
    if (stream->capture) return forbidden_in_capture(stream);
    run(stream);
    return fault;
}
CUDA cuEventCreate(Event** event, unsigned flags) { ENTER(true) events.insert(*event = new Event{!(flags & 2)}); return OK; }
CUDA cuEventDestroy_v2(Event* event) {  // kept in memory: work that waits for it may still be queued
    ENTER(true)
    return events.erase(event) ? OK : INVALID_HANDLE;
}
CUDA cuEventRecord(Event* event, void* handle) {
    ENTER(true)
    Stream* stream = find(handle);
    if (!events.count(event) || !stream) return INVALID_HANDLE;
    event->stream = stream;
    if ((event->capture = stream->capture)) return OK;
    long number = ++event->recorded;
    return put(stream, [=] {
        event->reached = number;
        event->ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
    });
}
CUDA cuStreamWaitEvent(void* handle, Event* event, unsigned) {
    ENTER(true)
    Stream* stream = find(handle);
    if (!events.count(event) || !stream) return INVALID_HANDLE;
    if (event->capture) return stream->capture = event->capture, OK;  // the stream joins the capture
    long number = event->recorded;
    return put(stream, [=, from = event->stream] { if (from) run(from, [=] { return event->reached >= number; }); });
}
CUDA cuEventSynchronize(Event* event) {
    ENTER(true)
    if (!events.count(event)) return INVALID_HANDLE;
    if (event->stream) run(event->stream, [=] { return event->reached >= event->recorded; });
    return fault;
}
CUDA cuEventElapsedTime_v2(float* ms, Event* start, Event* end) {
    ENTER(true)
    if (!events.count(start) || !events.count(end) || !start->timing || !end->timing) return INVALID_HANDLE;
    *ms = (float)(end->ms - start->ms);
    return start->reached && end->reached == end->recorded ? OK : NOT_READY;
}
CUDA cuEventElapsedTime(float* ms, Event* start, Event* end) { return cuEventElapsedTime_v2(ms, start, end); }

CUDA cuStreamBeginCapture_v2(void* handle, int) {
    ENTER(true)
    Stream* stream = find(handle);
    if ((uintptr_t)handle < 2) return CAPTURE_UNSUPPORTED;
    if (!stream || stream->capture) return ILLEGAL_STATE;
    graphs.insert(stream->capture = new Graph);
    capturing++;
    return OK;
}
CUDA cuStreamEndCapture(void* handle, Graph** graph) {
    ENTER(true)
    Stream* stream = find(handle);
    if (!stream || !stream->capture) return ILLEGAL_STATE;
    *graph = stream->capture;
    capturing--;
    for (Stream* one : streams) if (one->capture == *graph) one->capture = nullptr;
    if (!(*graph)->broken) return OK;
    graphs.erase(*graph);
    delete *graph;
    *graph = nullptr;
    return CAPTURE_INVALIDATED;
}
CUDA cuGraphInstantiateWithFlags(Graph** ready, Graph* graph, unsigned long long) {
    ENTER(true)
    graphs.insert(*ready = new Graph(*graph));
    return OK;
}
CUDA cuGraphDestroy(Graph* graph) { ENTER(true) if (!graphs.erase(graph)) return INVALID_VALUE; delete graph; return OK; }
CUDA cuGraphExecDestroy(Graph* graph) { ENTER(true) if (!graphs.erase(graph)) return INVALID_VALUE; delete graph; return OK; }
CUDA cuGraphLaunch(Graph* graph, void* stream) {
    ENTER(true)
    if (!graphs.count(graph)) return INVALID_VALUE;
    for (const Work& work : graph->work) put(find(stream), work);
    return find(stream) ? OK : INVALID_HANDLE;
}

#include "stand_in_kernels.h"

CUDA cuModuleLoadData(void** module, const char* image) {
    ENTER(true)
    *module = &module_handle;
    return strstr(image, ".visible .entry blend(") ? OK : INVALID_PTX;
}
CUDA cuModuleLoadDataEx(void** module, const char* image, unsigned count, int* options, void** values) {
    for (unsigned i = 0; i < count; i++)
        if (options[i] == 3 || options[i] == 5) *(char*)values[i] = 0;  // CU_JIT_INFO_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER
    return cuModuleLoadData(module, image);
}
CUDA cuModuleUnload(void*) { ENTER(true) return OK; }
CUDA cuModuleGetFunction(const Binder** function, void*, const char* name) {
    ENTER(true)
    auto found = kernels.find(name);
    if (found == kernels.end()) return NOT_FOUND;
    *function = &found->second;
    return OK;
}
CUDA cuFuncSetBlockShape(void*, int, int, int) { ENTER(true) return OK; }
CUDA cuLaunchKernel(const Binder* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                    unsigned, void* stream, void** list, void** extra) {
    ENTER(true)
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024 || bz != 1) return INVALID_VALUE;
    const char* packed = extra ? (const char*)extra[1] : nullptr;  // after CU_LAUNCH_PARAM_BUFFER_POINTER
    size_t size = extra ? *(size_t*)extra[3] : 0;                  // after CU_LAUNCH_PARAM_BUFFER_SIZE
    Work work = (*kernel)(list, packed, size, {(int)gx, (int)gy, (int)gz}, {(int)bx, (int)by, (int)bz});
    return work ? put(find(stream), work) : INVALID_VALUE;
}

CUDA cuGetErrorName(int code, const char** name) {
    static const std::map<int, const char*> names = {
        {OK, "CUDA_SUCCESS"}, {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"}, {NO_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
        {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"}, {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
        {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE"}, {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
        {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
        {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}};
    auto found = names.find(code);
    *name = found == names.end() ? nullptr : found->second;
    return *name ? OK : INVALID_VALUE;
}
CUDA cuGetErrorString(int code, const char** text) {
    if (cuGetErrorName(code, text)) *text = "unknown";
    return OK;
}
CUDA cuGetProcAddress_v2(const char* name, void** function, int, unsigned long long, int* status) {
    Dl_info self;
    dladdr((void*)cuInit, &self);
    void* library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    for (const char* suffix : {"_v2", ""})
        if ((*function = dlsym(library, (std::string(name) + suffix).c_str()))) break;
    if (status) *status = *function ? 0 : 1;
    return *function ? OK : NOT_FOUND;
}

// For the tests.
CUDA stand_in_set(int is_present, size_t memory_size) { present = is_present; total = memory_size; fault = ordinal = 0; return OK; }
CUDA stand_in_number(int number) { ordinal = number; return OK; }  // of the GPU on which all memory is said to lie
CUDA stand_in_refuse(const char* name, int code) { refusals[name] = code; return OK; }  // until it is OK again
CUDA stand_in_damage() { for (auto [pointer, size] : memory) look_for_damage(pointer, size); return damage; }
CUDA stand_in_held() {  // all that was not given back
    return (int)(memory.size() + pinned.size() + streams.size() + events.size() + graphs.size()) + retained;
}
