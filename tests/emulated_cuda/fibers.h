// Threads of one block as fibers: each has a stack of its own, one runs at a time, and it runs until it waits for others.

#pragma once
#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>
#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// Static __shared__ arrays are put into a section of their own, so that they can be filled with garbage for each block.
static char emulated_first_shared[16] __attribute__((section("emulated_shared"), used)) = {};
extern "C" char __start_emulated_shared[] __attribute__((visibility("hidden")));
extern "C" char __stop_emulated_shared[] __attribute__((visibility("hidden")));

namespace emulated {

constexpr int MOST_THREADS = 1024, STACK = 256 << 10, PAGE = 4096, MOST_SHARED = 256 << 10;
enum State { READY, AT_BARRIER, IN_WARP, ENDED };

struct Fiber {
    jmp_buf where;
    char* stack = nullptr;
    bool started = false;
    State state = ENDED;
    int line = 0;        // of the barrier or warp operation where it waits
    unsigned mask = 0;   // the lanes that take part in the warp operation
    const void* combine = nullptr;
    void* mine = nullptr;  // what this lane brings to a warp operation, and takes from it
    int vote = 0, votes = 0;
};

static Fiber fibers[MOST_THREADS];
static Fiber* running;
static jmp_buf scheduler;
static sigjmp_buf way_out;
static ucontext_t birth;
static int threads, arrived, sum_of_votes;
static void (*body)();
static char* dynamic_shared;
static char* message;
static int message_size;
struct Fault { uintptr_t address, instruction; };  // the latter counted from the library's beginning
static volatile Fault* fault;
static unsigned long long random_state;

enum Failure { MISTAKE = 1, MEMORY_FAULT };

[[noreturn]] static void fail(const char* what, Failure failure = MISTAKE) {
    const int i = running ? int(running - fibers) : -1;
    snprintf(message, message_size, "%s [block (%u, %u, %u), thread %d]", what, blockIdx.x, blockIdx.y, blockIdx.z, i);
    siglongjmp(way_out, failure);
}

// The compiler checks indices of arrays with a size, and the alignment of addresses, and stops at a wrong one: SIGILL.
static void on_signal(int number, siginfo_t* info, void* context) {
    fault->address = (uintptr_t)info->si_addr;
#ifdef __x86_64__
    Dl_info library;
    if (dladdr((void*)&on_signal, &library))
        fault->instruction = ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] - (uintptr_t)library.dli_fbase;
#endif
    if (number == SIGFPE) fail("integer division by zero");
    if (number == SIGILL) fail("a misaligned address, or an index beyond the end of an array");
    fail("access to memory out of bounds", MEMORY_FAULT);
}

__attribute__((noinline)) static void wait() {
    Fiber* me = running;
    if (_setjmp(me->where) == 0) _longjmp(scheduler, 1);
}

static void life() {
    for (;;) {
        body();
        running->state = ENDED;
        wait();
    }
}

__attribute__((noinline)) static void resume(Fiber* fiber) {
    running = fiber;
    const unsigned i = unsigned(fiber - fibers);
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    if (_setjmp(scheduler) != 0) return;
    if (fiber->started) _longjmp(fiber->where, 1);
    if (!fiber->stack)  // the lowest page stays closed, so that a stack that is too small shows
        fiber->stack = (char*)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        mprotect(fiber->stack, PAGE, PROT_NONE);
    fiber->started = true;
    getcontext(&birth);
    birth.uc_stack.ss_sp = fiber->stack;
    birth.uc_stack.ss_size = STACK;
    birth.uc_link = nullptr;
    makecontext(&birth, life, 0);
    setcontext(&birth);
}

// --- waiting for others ----------------------------------------------------------------------------------------------

// __syncthreads; returns the sum of all threads' votes
static int barrier(int line, int vote = 0) {
    Fiber* me = running;
    me->state = AT_BARRIER;
    me->line = line;
    sum_of_votes += vote;
    if (++arrived < threads) {
        wait();
        return me->votes;
    }
    for (int i = 0; i < threads; i++) {
        if (fibers[i].line != line) fail("threads wait at different __syncthreads");
        fibers[i].votes = sum_of_votes;
        fibers[i].state = READY;
    }
    arrived = sum_of_votes = 0;
    wait();  // also the last to come goes on when its turn comes
    return me->votes;
}

// Something that the lanes of a warp do together: the last to arrive calls combine(lanes, mask), with lanes[i] pointing
// to what lane i has brought, null for lanes that are not in the mask.
template <typename T> static void together(unsigned mask, int line, void (*combine)(T**, unsigned), T* mine) {
    Fiber* me = running;
    const int i = int(me - fibers), first = i / 32 * 32;
    if (!(mask >> (i - first) & 1)) fail("a lane that is not in its own mask");
    me->state = IN_WARP;
    me->line = line;
    me->mask = mask;
    me->combine = (const void*)combine;
    me->mine = mine;
    T* lanes[32] = {};
    for (int lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        if (first + lane >= threads) fail("a warp operation with lanes that the block does not have");
        Fiber& other = fibers[first + lane];
        if (other.state == ENDED) fail("a warp operation with a lane that has ended");
        if (other.state != IN_WARP) {
            wait();
            return;
        }
        if (other.line != line || other.mask != mask || other.combine != me->combine)
            fail("the lanes of a warp are at different operations");
        lanes[lane] = (T*)other.mine;
    }
    combine(lanes, mask);
    for (int lane = 0; lane < 32; lane++)
        if (lanes[lane]) fibers[first + lane].state = READY;
    wait();
}

// --- running a grid --------------------------------------------------------------------------------------------------

// Forwards and backwards, each warp runs as far as it can before the next one does: to the block's next barrier. So one
// that writes what another has yet to read is caught. Shuffled, all threads of a block go on in turns.
enum Order { FORWARDS, BACKWARDS };  // more: shuffled, by this number as seed

static unsigned long long random_below(unsigned long long n) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random_state >> 33) % n;
}

static void arrange(int* places, int n, long order) {
    for (int i = 0; i < n; i++) places[i] = order == BACKWARDS ? n - 1 - i : i;
    if (order > BACKWARDS)
        for (int i = n - 1; i > 0; i--) std::swap(places[i], places[random_below(i + 1)]);
}

static void run_block(long order, int shared) {
    static int places[MOST_THREADS];
    memset(__start_emulated_shared, 0xff, __stop_emulated_shared - __start_emulated_shared);
    memset(dynamic_shared, 0xff, shared);
    for (int i = 0; i < threads; i++) fibers[i].state = READY;
    arrived = sum_of_votes = 0;
    const int group = order > BACKWARDS ? threads : 32, groups = (threads + group - 1) / group;
    for (bool all_ended = false; !all_ended;) {
        bool moved = false;
        for (int n = 0; n < groups; n++) {
            const int first = (order == BACKWARDS ? groups - 1 - n : n) * group;
            const int size = std::min(group, threads - first);
            for (bool again = true; again;) {
                again = false;
                arrange(places, size, order);
                for (int k = 0; k < size; k++) {
                    Fiber* fiber = &fibers[first + places[k]];
                    if (fiber->state != READY) continue;
                    resume(fiber);
                    moved = again = true;
                }
            }
        }
        all_ended = true;
        for (int i = 0; i < threads; i++) all_ended &= fibers[i].state == ENDED;
        if (!moved && !all_ended) {
            for (int i = 0; i < threads; i++)
                if (fibers[i].state != ENDED) running = &fibers[i];
            char what[200];
            snprintf(what, sizeof what, "deadlock: a thread waits at %s (line %d) for threads that %s",
                     running->state == AT_BARRIER ? "__syncthreads" : "a warp operation", running->line,
                     "have ended or wait elsewhere");
            fail(what);
        }
    }
}

static int run_grid(const unsigned* grid, const unsigned* block, int shared, long order, char* text, int text_size,
                    Fault* where) {
    static char* memory = nullptr;
    if (!memory) {
        memory = (char*)mmap(nullptr, MOST_SHARED + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(memory + MOST_SHARED, PAGE, PROT_NONE);
    }
    static char* signal_stack = (char*)malloc(1 << 16);
    dynamic_shared = memory + MOST_SHARED - (shared + 15) / 16 * 16;
    message = text, message_size = text_size, fault = where;
    blockDim = dim3(block[0], block[1], block[2]);
    gridDim = dim3(grid[0], grid[1], grid[2]);
    threads = int(block[0] * block[1] * block[2]);
    random_state = order;
    running = nullptr;

    struct sigaction ours = {}, before[4];
    ours.sa_sigaction = on_signal;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    stack_t stack = {signal_stack, 0, 1 << 16}, stack_before;
    sigaltstack(&stack, &stack_before);
    const int signals[4] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (int i = 0; i < 4; i++) sigaction(signals[i], &ours, &before[i]);
    const int failed = sigsetjmp(way_out, 1);
    if (!failed) {
        const long long blocks = (long long)grid[0] * grid[1] * grid[2];
        long long step = 1;  // shuffled: blocks in steps of a number that has no divisor in common with theirs
        if (order > BACKWARDS && blocks > 2) {
            auto common = [](long long a, long long b) { while (b) std::swap(a %= b, b); return a; };
            do step = 1 + (long long)random_below(blocks - 1); while (common(step, blocks) != 1);
        }
        long long at = order == BACKWARDS ? blocks - 1 : order > BACKWARDS ? (long long)random_below(blocks) : 0;
        for (long long k = 0; k < blocks; k++) {
            blockIdx = {unsigned(at % grid[0]), unsigned(at / grid[0] % grid[1]), unsigned(at / grid[0] / grid[1])};
            run_block(order, shared);
            at = order == BACKWARDS ? at - 1 : (at + step) % blocks;
        }
    } else {
        for (Fiber& fiber : fibers) fiber.started = false;  // what they were doing is lost
    }
    for (int i = 0; i < 4; i++) sigaction(signals[i], &before[i], nullptr);
    sigaltstack(&stack_before, nullptr);
    return failed;
}

// --- a kernel's parameters -------------------------------------------------------------------------------------------

// One letter: p pointer, f floating point, i integer, s a struct
template <typename T> constexpr char kind_of() {
    if (std::is_pointer_v<T>) return 'p';
    if (std::is_floating_point_v<T>) return 'f';
    return std::is_integral_v<T> ? 'i' : 's';
}

template <typename T> constexpr int size_of() {
    if constexpr (std::is_void_v<T>) return 0;
    else return sizeof(T);
}

struct Parameter { int size; char kind, pointee_kind; int pointee_size; };

template <typename... P> struct Kernel {
    static int parameters(Parameter* to) {
        Parameter all[] = {{}, {int(sizeof(P)), kind_of<P>(), kind_of<std::remove_cv_t<std::remove_pointer_t<P>>>(),
                               size_of<std::remove_pointer_t<P>>()}...};
        for (size_t i = 0; i < sizeof...(P); i++) to[i] = all[i + 1];
        return sizeof...(P);
    }
    template <size_t... I> static void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
        kernel(*(std::remove_reference_t<P>*)arguments[I]...);
    }
};
template <typename... P> Kernel<P...> kernel_type(void (*)(P...));

}  // namespace emulated

#define EMULATED_KERNEL(NAME, ...)                                                                                      \
    extern "C" int emulated_parameters_##NAME(emulated::Parameter* to) {                                               \
        return decltype(emulated::kernel_type(NAME))::parameters(to);                                                  \
    }                                                                                                                  \
    extern "C" int emulated_bounds_##NAME() { return emulated::first_of(__VA_ARGS__); }                                     \
    static void** emulated_arguments_##NAME;                                                                           \
    template <typename... P> static void emulated_body_##NAME(void (*kernel)(P...)) {                                  \
        emulated::Kernel<P...>::call(kernel, emulated_arguments_##NAME, std::index_sequence_for<P...>());              \
    }                                                                                                                  \
    extern "C" int emulated_launch_##NAME(const unsigned* grid, const unsigned* block, int shared, void** arguments,   \
                                          long order, char* text, int text_size, emulated::Fault* fault) {                \
        emulated_arguments_##NAME = arguments;                                                                         \
        emulated::body = [] { emulated_body_##NAME(NAME); };                                                           \
        return emulated::run_grid(grid, block, shared, order, text, text_size, fault);                                 \
    }

namespace emulated {
template <typename... T> constexpr int first_of(int first, T...) { return first; }
}
