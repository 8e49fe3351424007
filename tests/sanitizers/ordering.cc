// Tells ThreadSanitizer what the distribution's abseil and gRPC order, which are compiled without it. absl::Mutex is
// made of atomics and futexes rather than pthread's locks, which the sanitizer would know; and gRPC hands a call's
// completion from thread to thread through lock-free queues. So it would take everything that passes through either for
// a race. Preloaded, this library stands in front of both: each function calls the real one, and says "what was
// released before is visible now".
//
// abseil's functions are named in assembler, since their types don't matter here; a Duration or Time goes in two
// registers.
#include <dlfcn.h>
#include <grpc/grpc.h>

#include <cstdint>

#include "absl/base/options.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
// Seven is the length of the inline namespace's name in Debian's packages: debian3, debian7.
#define ABSL_SYMBOL(name) "_ZN4absl7" TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME) name
#define ABSL_CONST_SYMBOL(name) "_ZNK4absl7" TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME) name
static_assert(sizeof(TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME)) == sizeof("debian3"), "another length, another number");

#define LOCK ABSL_SYMBOL("5Mutex4LockEv")
#define READER_LOCK ABSL_SYMBOL("5Mutex10ReaderLockEv")
#define TRY_LOCK ABSL_SYMBOL("5Mutex7TryLockEv")
#define UNLOCK ABSL_SYMBOL("5Mutex6UnlockEv")
#define READER_UNLOCK ABSL_SYMBOL("5Mutex12ReaderUnlockEv")
#define AWAIT ABSL_SYMBOL("5Mutex5AwaitERKNS0_9ConditionE")
#define CONDITION_EVAL ABSL_CONST_SYMBOL("9Condition4EvalEv")
#define WAIT ABSL_SYMBOL("7CondVar4WaitEPNS0_5MutexE")
#define WAIT_WITH_TIMEOUT ABSL_SYMBOL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE")
#define WAIT_WITH_DEADLINE ABSL_SYMBOL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE")
#define WAIT_COMMON ABSL_SYMBOL("7CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_internal13KernelTimeoutE")
#define NOTIFY ABSL_SYMBOL("12Notification6NotifyEv")
#define WAIT_FOR_NOTIFICATION ABSL_CONST_SYMBOL("12Notification19WaitForNotificationEv")

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

// The mutex that this thread is giving back or waiting for. abseil looks at conditions meanwhile, on behalf of any
// thread that waits for one, and always under the lock.
thread_local void* current_mutex = nullptr;

class Current {
 public:
  explicit Current(void* mutex) {
    current_mutex = mutex;
    Release(mutex);
  }
  ~Current() { current_mutex = nullptr; }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

struct TwoWords {
  uint64_t first;
  uint64_t second;
};

// A wait on a condition variable, which gives the lock back for that time.
template <typename Limit>
bool WaitUntil(const char* symbol, void* variable, void* mutex, Limit limit) {
  const auto real = Real<bool(void*, void*, Limit)>(symbol);
  Release(mutex);
  const bool late = real(variable, mutex, limit);
  Acquire(mutex);
  return late;
}

}  // namespace

void Lock(void* mutex) asm(LOCK);
void Lock(void* mutex) {
  static const auto real = Real<void(void*)>(LOCK);
  real(mutex);
  Acquire(mutex);
}

void ReaderLock(void* mutex) asm(READER_LOCK);
void ReaderLock(void* mutex) {
  static const auto real = Real<void(void*)>(READER_LOCK);
  real(mutex);
  Acquire(mutex);
}

bool TryLock(void* mutex) asm(TRY_LOCK);
bool TryLock(void* mutex) {
  static const auto real = Real<bool(void*)>(TRY_LOCK);
  const bool locked = real(mutex);
  if (locked) Acquire(mutex);
  return locked;
}

void Unlock(void* mutex) asm(UNLOCK);
void Unlock(void* mutex) {
  static const auto real = Real<void(void*)>(UNLOCK);
  const Current current(mutex);
  real(mutex);
}

void ReaderUnlock(void* mutex) asm(READER_UNLOCK);
void ReaderUnlock(void* mutex) {
  static const auto real = Real<void(void*)>(READER_UNLOCK);
  const Current current(mutex);
  real(mutex);
}

void Await(void* mutex, const void* condition) asm(AWAIT);
void Await(void* mutex, const void* condition) {
  static const auto real = Real<void(void*, const void*)>(AWAIT);
  const Current current(mutex);
  real(mutex, condition);
  Acquire(mutex);
}

bool ConditionEval(const void* condition) asm(CONDITION_EVAL);
bool ConditionEval(const void* condition) {
  static const auto real = Real<bool(const void*)>(CONDITION_EVAL);
  if (current_mutex != nullptr) Acquire(current_mutex);
  const bool holds = real(condition);
  if (current_mutex != nullptr) Release(current_mutex);
  return holds;
}

void Wait(void* variable, void* mutex) asm(WAIT);
void Wait(void* variable, void* mutex) {
  static const auto real = Real<void(void*, void*)>(WAIT);
  Release(mutex);
  real(variable, mutex);
  Acquire(mutex);
}

bool WaitWithTimeout(void* variable, void* mutex, TwoWords timeout) asm(WAIT_WITH_TIMEOUT);
bool WaitWithTimeout(void* variable, void* mutex, TwoWords timeout) {
  return WaitUntil(WAIT_WITH_TIMEOUT, variable, mutex, timeout);
}

bool WaitWithDeadline(void* variable, void* mutex, TwoWords deadline) asm(WAIT_WITH_DEADLINE);
bool WaitWithDeadline(void* variable, void* mutex, TwoWords deadline) {
  return WaitUntil(WAIT_WITH_DEADLINE, variable, mutex, deadline);
}

// What newer versions' inline functions call.
bool WaitCommon(void* variable, void* mutex, uint64_t timeout) asm(WAIT_COMMON);
bool WaitCommon(void* variable, void* mutex, uint64_t timeout) {
  return WaitUntil(WAIT_COMMON, variable, mutex, timeout);
}

void Notify(void* notification) asm(NOTIFY);
void Notify(void* notification) {
  static const auto real = Real<void(void*)>(NOTIFY);
  Release(notification);
  real(notification);
}

void WaitForNotification(const void* notification) asm(WAIT_FOR_NOTIFICATION);
void WaitForNotification(const void* notification) {
  static const auto real = Real<void(const void*)>(WAIT_FOR_NOTIFICATION);
  real(notification);
  Acquire(notification);
}

// A batch of operations, and its end, have the same tag.
grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* operations, size_t count, void* tag,
                                      void* reserved) {
  static const auto real = Real<decltype(grpc_call_start_batch)>("grpc_call_start_batch");
  Release(tag);
  return real(call, operations, count, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline, void* reserved) {
  static const auto real = Real<decltype(grpc_completion_queue_next)>("grpc_completion_queue_next");
  const grpc_event event = real(queue, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) Acquire(event.tag);
  return event;
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag, gpr_timespec deadline, void* reserved) {
  static const auto real = Real<decltype(grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  const grpc_event event = real(queue, tag, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) Acquire(event.tag);
  return event;
}
