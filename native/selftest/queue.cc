// The order of tasks: who is parked by a hold, who goes on, and what waits for everything.
#include "../queue.h"
#include "../storage.h"
#include "check.h"

namespace selftest {
namespace {

struct Fixture {
  Storage a{Place{}, 4}, b{Place{}, 4}, c{Place{}, 4};
  std::vector<int> order;  // of the tasks that ran; written by the queue's thread
  Queue queue;             // last: its thread ends before what it writes

  void note(int number, Uses uses = {}) {
    queue.push([this, number] { order.push_back(number); }, std::move(uses));
  }
  void hold(Storage& storage, bool writes) {
    queue.push([this, &storage, writes] { queue.hold(&storage, writes); }, {{&storage, writes}});
  }
  // Overtakes tasks that are queued, so the hold must have been taken: see settle().
  void release(Storage& storage) {
    queue.interrupt([this, &storage] { queue.release(&storage); });
  }
  // Waits for the tasks that are not parked.
  bool settle() {
    auto gate = std::make_shared<Gate>();
    queue.push([gate] { gate->open(); });
    return gate->pass();
  }
  std::string expect(const std::string& want) {
    return join(order) == want ? "" : "ran " + join(order) + ", expected " + want;
  }
};

std::string parks() {
  Fixture f;
  f.hold(f.a, true);
  f.note(1, {{&f.a, false}});                // reads what is held
  f.note(2, {{&f.b, true}});                 // has nothing to do with it
  f.note(3, {{&f.a, false}, {&f.c, true}});  // parked, and writes c
  f.note(4, {{&f.c, false}});                // so this waits for 3
  f.note(5, {{&f.b, false}});
  if (!f.settle()) return "the queue stands";
  if (std::string wrong = f.expect("2 5"); !wrong.empty()) return "before the release " + wrong;
  f.release(f.a);
  if (!drain(f.queue)) return "the queue stands after the release";
  return f.expect("2 5 1 3 4");
}

std::string readersPass() {
  Fixture f;
  f.hold(f.a, false);
  f.note(1, {{&f.a, false}});
  f.note(2, {{&f.a, true}});
  f.note(3, {{&f.a, false}});  // behind a parked writer
  if (!f.settle()) return "the queue stands";
  if (std::string wrong = f.expect("1"); !wrong.empty()) return "before the release " + wrong;
  f.release(f.a);
  if (!drain(f.queue)) return "the queue stands after the release";
  return f.expect("1 2 3");
}

std::string holdsOfOneStorageEndOneByOne() {
  Fixture f;
  f.hold(f.a, false);
  f.hold(f.a, false);
  f.note(1, {{&f.a, true}});
  if (!f.settle()) return "the queue stands under both holds";
  f.release(f.a);
  if (!f.settle()) return "the queue stands";
  if (std::string wrong = f.expect(""); !wrong.empty()) return "after one release " + wrong;
  f.release(f.a);
  if (!drain(f.queue)) return "the queue stands after both releases";
  return f.expect("1");
}

// A parked task may hold a storage itself, and later tasks then wait for that hold.
std::string parkedTasksHold() {
  Fixture f;
  f.hold(f.a, true);
  f.queue.push(
      [&f] {
        f.order.push_back(1);
        f.queue.hold(&f.b, true);
      },
      {{&f.a, false}, {&f.b, true}});
  f.note(2, {{&f.b, false}});
  if (!f.settle()) return "the queue stands under the first hold";
  f.release(f.a);
  if (!f.settle()) return "the queue stands";
  if (std::string wrong = f.expect("1"); !wrong.empty()) return "after the first release " + wrong;
  f.release(f.b);
  if (!drain(f.queue)) return "the queue stands after both releases";
  return f.expect("1 2");
}

// pushLast() waits for earlier holds, not for later ones.
std::string lastTasks() {
  Fixture f;
  f.hold(f.a, true);
  f.queue.pushLast([&f] { f.order.push_back(1); });
  f.hold(f.b, true);
  f.note(2, {{&f.c, true}});
  if (!f.settle()) return "the queue stands";
  if (std::string wrong = f.expect("2"); !wrong.empty()) return "before the release " + wrong;
  f.release(f.a);
  if (!f.settle()) return "the queue stands after the release";
  return f.expect("2 1");
}

std::string endsWithParkedTasks() {
  auto kept = std::make_shared<int>(0);
  {
    Fixture f;
    f.hold(f.a, true);
    f.queue.push([kept] {}, {{&f.a, false}});
    if (!f.settle()) return "the queue stands";
  }
  return kept.use_count() == 1 ? "" : "a parked task outlived its queue";
}

std::string interruptsAfterTheEnd() {
  Fixture f;
  f.hold(f.a, true);
  f.queue.stop();
  f.release(f.a);  // another queue may still say so
  return "";
}

}  // namespace

std::vector<Check> queueChecks() {
  return {
      {"queue: parks what depends on a hold, and nothing else", parks},
      {"queue: lets readers pass a hold for reading", readersPass},
      {"queue: counts the holds of one storage", holdsOfOneStorageEndOneByOne},
      {"queue: lets parked tasks hold", parkedTasksHold},
      {"queue: runs what waits for everything behind earlier holds", lastTasks},
      {"queue: ends with parked tasks", endsWithParkedTasks},
      {"queue: is interrupted after its end", interruptsAfterTheEnd},
  };
}

}  // namespace selftest
