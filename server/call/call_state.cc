#include "server/call/call_state.h"

#include <algorithm>
#include <array>

namespace engine::db::call {
namespace {

using enum CallState;

struct Transition {
  CallState from;
  CallState to;
  std::string_view when;  // for readers
};

constexpr Transition kTransitions[] = {
    {kNew, kQueued, "an attempt of its own begins"},
    {kNew, kRunning, "a shared read, which waits in the pool as part of its attempt"},
    {kNew, kQueuedInTransaction, "it names an open transaction"},
    {kNew, kEnded, "its deadline has passed, or its transaction has ended"},

    {kQueued, kRunning, "the pool has granted a backend"},
    {kQueued, kEnded, "stopped while it waited, or no backend is to be had"},

    {kQueuedInTransaction, kRunning, "its turn has come"},
    {kQueuedInTransaction, kEnded, "stopped, refused behind a stream, or the transaction has ended"},

    {kRunning, kBackingOff, "the attempt failed, and may be run again"},
    {kRunning, kReplaying, "its transaction was lost or had to give way, and may be run again"},
    {kRunning, kResolving, "COMMIT was sent, and the link broke before its answer"},
    {kRunning, kEnded, "the attempt has ended, and nothing else follows"},

    {kBackingOff, kQueued, "the next attempt begins"},
    {kBackingOff, kRunning, "the next attempt is a shared read"},
    {kBackingOff, kEnded, "stopped before the next attempt"},

    {kReplaying, kRunning, "the transaction stands where it stood, on another backend"},
    {kReplaying, kReplaying, "running it again has failed, and is tried once more"},
    {kReplaying, kEnded, "stopped, or running it again has failed for good"},

    {kResolving, kBackingOff, "COMMIT was undone, and the attempt may be run again"},
    {kResolving, kReplaying, "COMMIT was undone, and the transaction may be run again"},
    {kResolving, kEnded, "the server has told, or nobody can"},
};

}  // namespace

std::string_view CallStateName(CallState state) {
  switch (state) {
    case kNew:
      return "new";
    case kQueued:
      return "queued";
    case kQueuedInTransaction:
      return "queued in its transaction";
    case kRunning:
      return "running";
    case kBackingOff:
      return "backing off";
    case kReplaying:
      return "replaying";
    case kResolving:
      return "resolving";
    case kEnded:
      return "ended";
  }
  return "?";
}

bool MayGo(CallState from, CallState to) {
  return std::any_of(std::begin(kTransitions), std::end(kTransitions),
                     [&](const Transition& one) { return one.from == from && one.to == to; });
}

}  // namespace engine::db::call
