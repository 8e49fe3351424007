// Tells ThreadSanitizer what abseil's locks order. The distribution's libabsl is compiled without it, and absl::Mutex
// is made of atomics and futexes rather than pthread's locks, which the sanitizer would know; so it would take
// everything that a Mutex protects for a race, here as well as in gRPC. Preloaded, this library stands in front of
// libabsl: each function calls the real one, and says "what was released before is visible now".
//
// The symbols are named in assembler, so that private functions and both versions of abseil can be covered.
#include <dlfcn.h>

#include <cstdint>

#include "absl/base/options.h"

// Weak: programs that are run along the way (ctest, PostgreSQL) have no sanitizer.
extern "C" {
__attribute__((weak)) void __tsan_acquire(void* address);
__attribute__((weak)) void __tsan_release(void* address);
}

namespace {

void Acquire(const void* lock) {
  if (__tsan_acquire != nullptr) __tsan_acquire(const_cast<void*>(lock));
}

void Release(const void* lock) {
  if (__tsan_release != nullptr) __tsan_release(const_cast<void*>(lock));
}

template <typename Function>
Function* Real(const char* symbol) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, symbol));
}

}  // namespace

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
// Seven is the length of the inline namespace's name in Debian's packages: debian3, debian7.
static_assert(sizeof(TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME)) == 8, "another name needs another number below");
#define ABSL_SYMBOL(name) "_ZN4absl7" TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME) name
#define ABSL_CONST_SYMBOL(name) "_ZNK4absl7" TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME) name
#define ABSL_NAMESPACE_TYPE(name) "NS0_" name

// Arguments that are passed on untouched: a Duration or Time is twelve bytes and goes in two registers, a KernelTimeout
// in one.
struct TwoWords {
  uint64_t first;
  uint64_t second;
};

#define TAKES_LOCK(function, symbol)                     \
  void function(void* mutex) asm(symbol);                \
  void function(void* mutex) {                           \
    static auto* const real = Real<void(void*)>(symbol); \
    real(mutex);                                         \
    Acquire(mutex);                                      \
  }
#define TRIES_LOCK(function, symbol)                     \
  bool function(void* mutex) asm(symbol);                \
  bool function(void* mutex) {                           \
    static auto* const real = Real<bool(void*)>(symbol); \
    const bool locked = real(mutex);                     \
    if (locked) Acquire(mutex);                          \
    return locked;                                       \
  }
#define GIVES_LOCK(function, symbol)                     \
  void function(void* mutex) asm(symbol);                \
  void function(void* mutex) {                           \
    static auto* const real = Real<void(void*)>(symbol); \
    Release(mutex);                                      \
    real(mutex);                                         \
  }
// Gives the lock back while it waits.
#define AWAITS(function, symbol, returned, type)                                 \
  returned function(void* mutex, const void* condition, type limit) asm(symbol); \
  returned function(void* mutex, const void* condition, type limit) {            \
    static auto* const real = Real<returned(void*, const void*, type)>(symbol);  \
    Release(mutex);                                                              \
    const returned done = real(mutex, condition, limit);                         \
    Acquire(mutex);                                                              \
    return done;                                                                 \
  }
#define WAITS(function, symbol, type)                                 \
  bool function(void* variable, void* mutex, type limit) asm(symbol); \
  bool function(void* variable, void* mutex, type limit) {            \
    static auto* const real = Real<bool(void*, void*, type)>(symbol); \
    Release(mutex);                                                   \
    const bool late = real(variable, mutex, limit);                   \
    Acquire(mutex);                                                   \
    return late;                                                      \
  }

TAKES_LOCK(Lock, ABSL_SYMBOL("5Mutex4LockEv"))
TAKES_LOCK(ReaderLock, ABSL_SYMBOL("5Mutex10ReaderLockEv"))
TRIES_LOCK(TryLock, ABSL_SYMBOL("5Mutex7TryLockEv"))
TRIES_LOCK(ReaderTryLock, ABSL_SYMBOL("5Mutex13ReaderTryLockEv"))
GIVES_LOCK(Unlock, ABSL_SYMBOL("5Mutex6UnlockEv"))
GIVES_LOCK(ReaderUnlock, ABSL_SYMBOL("5Mutex12ReaderUnlockEv"))
AWAITS(AwaitWithTimeout, ABSL_SYMBOL("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE"), bool, TwoWords)
AWAITS(AwaitWithDeadline, ABSL_SYMBOL("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE"), bool, TwoWords)
AWAITS(AwaitCommon, ABSL_SYMBOL("5Mutex11AwaitCommonERKNS0_9ConditionENS0_24synchronization_internal13KernelTimeoutE"),
       bool, uint64_t)
WAITS(WaitWithTimeout, ABSL_SYMBOL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE"), TwoWords)
WAITS(WaitWithDeadline, ABSL_SYMBOL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE"), TwoWords)
WAITS(WaitCommon, ABSL_SYMBOL("7CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_internal13KernelTimeoutE"),
      uint64_t)

void Await(void* mutex, const void* condition) asm(ABSL_SYMBOL("5Mutex5AwaitERKNS0_9ConditionE"));
void Await(void* mutex, const void* condition) {
  static auto* const real = Real<void(void*, const void*)>(ABSL_SYMBOL("5Mutex5AwaitERKNS0_9ConditionE"));
  Release(mutex);
  real(mutex, condition);
  Acquire(mutex);
}

void Wait(void* variable, void* mutex) asm(ABSL_SYMBOL("7CondVar4WaitEPNS0_5MutexE"));
void Wait(void* variable, void* mutex) {
  static auto* const real = Real<void(void*, void*)>(ABSL_SYMBOL("7CondVar4WaitEPNS0_5MutexE"));
  Release(mutex);
  real(variable, mutex);
  Acquire(mutex);
}

void Notify(void* notification) asm(ABSL_SYMBOL("12Notification6NotifyEv"));
void Notify(void* notification) {
  static auto* const real = Real<void(void*)>(ABSL_SYMBOL("12Notification6NotifyEv"));
  Release(notification);
  real(notification);
}

void WaitForNotification(const void* notification) asm(ABSL_CONST_SYMBOL("12Notification19WaitForNotificationEv"));
void WaitForNotification(const void* notification) {
  static auto* const real = Real<void(const void*)>(ABSL_CONST_SYMBOL("12Notification19WaitForNotificationEv"));
  real(notification);
  Acquire(notification);
}
