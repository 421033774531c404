// A replicator on real threads: the lane, two of a transport, the node's commit lane, and one that reads the status.
// For the thread sanitizer; what it says is tested elsewhere.
#include <cppunit/extensions/HelperMacros.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "replication/envelope.h"
#include "replication/fake_port.h"
#include "replication/replicator.h"

namespace meridian::replication {

namespace {

class SystemClock final : public Clock {
public:
    uint64_t wall_ms() const override { return 1'700'000'000'000 + monotonic_us() / 1000; }
    uint64_t monotonic_us() const override {
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
                .count());
    }
};

class FixedRandom final : public Random {
public:
    void fill(void* bytes, size_t size) override {
        for (size_t i = 0; i < size; ++i) static_cast<uint8_t*>(bytes)[i] = static_cast<uint8_t>(++last_);
    }

private:
    std::atomic<uint32_t> last_{0};
};

class ThreadLane final : public Lane {
public:
    ThreadLane() : thread_([this] { run(); }) {}
    ~ThreadLane() override { stop(); }
    void post(Task task) override { post_after(0, std::move(task)); }
    void post_after(uint64_t delay_us, Task task) override {
        const std::lock_guard<std::mutex> guard(mutex_);
        tasks_.emplace(clock_.monotonic_us() + delay_us, std::move(task));
        changed_.notify_one();
    }
    void stop() {
        {
            const std::lock_guard<std::mutex> guard(mutex_);
            stopped_ = true;
            changed_.notify_one();
        }
        if (thread_.joinable()) thread_.join();
    }

private:
    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!stopped_) {
            if (tasks_.empty()) {
                changed_.wait(lock);
                continue;
            }
            const uint64_t now_us = clock_.monotonic_us();
            const auto first = tasks_.begin();
            if (first->first > now_us) {
                changed_.wait_for(lock, std::chrono::microseconds(first->first - now_us));
                continue;
            }
            const Task task = std::move(first->second);
            tasks_.erase(first);
            lock.unlock();
            task();
            lock.lock();
        }
    }

    SystemClock clock_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::multimap<uint64_t, Task> tasks_;
    bool stopped_ = false;
    std::thread thread_;
};

// Takes everything, and says so from its own thread.
class SinkTransport final : public Transport {
public:
    const std::string& name() const override { return name_; }
    bool has_broadcast() const override { return true; }
    bool has_unicast() const override { return true; }
    bool has_request() const override { return false; }
    bool counts_receivers() const override { return false; }
    bool addresses_nodes_by_name() const override { return true; }
    uint64_t message_bytes_max() const override { return 1 << 20; }
    std::string address() const override { return "1"; }
    std::vector<Link> links() const override { return {}; }
    Result<void> start(TransportListener& told) override {
        listener = &told;
        lane_.post([&told] { told.on_up(1); });
        return {};
    }
    SendStatus publish(Channel, std::string_view, std::string_view, Done done) override {
        ++taken;
        if (done) lane_.post([done = std::move(done)] { done(SendStatus::ok, 0); });
        return SendStatus::ok;
    }
    SendStatus send(std::string_view, std::string_view, Done) override { return SendStatus::ok; }
    SendStatus request(Channel, std::string_view, std::string_view, uint64_t, Reply) override {
        return SendStatus::unsupported;
    }
    void reply(uint64_t, std::string_view) override {}
    void resume() override {}
    void stop(uint64_t) override { lane_.stop(); }

    std::atomic<uint64_t> taken{0};
    TransportListener* listener = nullptr;

private:
    const std::string name_ = "sink";
    ThreadLane lane_;
};

// Completes on a thread of its own.
class ThreadedPort final : public node::ReplicationPort {
public:
    void set_listener(node::ReplicationListener* listener) override {
        const std::lock_guard<std::mutex> guard(mutex_);
        listener_ = listener;
    }
    node::Origin self() const override { return {1, 1}; }
    void begin_incarnation(std::function<void(Result<void>)> done) override {
        lane_.post([done] { done({}); });
    }
    node::VersionVector vector() const override {
        const std::lock_guard<std::mutex> guard(mutex_);
        return vector_;
    }
    void merge(std::vector<node::RemoteEntry> entries, std::function<void(Result<void>)> done) override {
        lane_.post([this, entries = std::move(entries), done = std::move(done)] {
            {
                const std::lock_guard<std::mutex> guard(mutex_);
                for (const node::RemoteEntry& entry : entries) vector_[entry.origin] = entry.sequence;
            }
            done({});
        });
    }
    void read_entries(std::vector<node::EntryRange>, size_t, size_t,
                      std::function<void(node::EntryPage)> done) override {
        lane_.post([done = std::move(done)] { done({}); });
    }
    node::VersionVector floors() const override { return {}; }
    void set_needed(node::VersionVector) override {}
    void set_covered_before(uint64_t) override {}
    void digest_keys(std::optional<node::KeyName>, size_t, const node::DigestKey&,
                     std::function<void(node::DigestPage)> done) override {
        lane_.post([done = std::move(done)] { done({}); });
    }
    void read_states(std::vector<node::KeyName>,
                     std::function<void(Result<std::vector<node::KeyState>>)> done) override {
        lane_.post([done = std::move(done)] { done(std::vector<node::KeyState>()); });
    }
    void raise_vector(node::VersionVector, std::function<void(Result<void>)> done) override {
        lane_.post([done = std::move(done)] { done({}); });
    }

    void commit(uint64_t sequence) {
        lane_.post([this, sequence] {
            const std::lock_guard<std::mutex> guard(mutex_);
            vector_[{1, 1}] = sequence;
            if (listener_ != nullptr)
                listener_->on_committed({{sequence, 1, {"ns", "key"}, payload_of({"item"}, 0), {1, 1}, nullptr}});
        });
    }
    uint64_t held(const Origin& origin) const { return node::held(vector(), origin); }
    void stop() { lane_.stop(); }

private:
    mutable std::mutex mutex_;
    node::VersionVector vector_;
    node::ReplicationListener* listener_ = nullptr;
    ThreadLane lane_;
};

}  // namespace

class ThreadsTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ThreadsTest);
    CPPUNIT_TEST(runs_on_threads_of_its_surroundings);
    CPPUNIT_TEST_SUITE_END();

public:
    void runs_on_threads_of_its_surroundings() {
        constexpr uint64_t count = 500;
        SystemClock clock;
        FixedRandom random;
        ThreadedPort port;
        SinkTransport transport;
        const Seal seal("cluster-a", "secret", true);
        ThreadLane lane;
        std::atomic<bool> ready{false};
        ReplicationEvents events;
        events.ready = [&ready] { ready = true; };
        ReplicationOptions options;
        options.startup_answers_ms = 1;
        Replicator replicator(lane, clock, random, port, seal, options, {&transport}, events);
        CPPUNIT_ASSERT(replicator.start().ok());

        std::atomic<bool> finished{false};
        std::thread reader([&] {
            while (!finished) {
                replicator.status();
                replicator.members();
            }
        });
        std::thread deliverer([&] {
            for (uint64_t i = 1; i <= count; ++i) {
                Envelope envelope;
                envelope.origin_node_id = 2;
                envelope.namespace_name = "ns";
                envelope.key = "key";
                envelope.numbered = Envelope::Numbered{};
                envelope.numbered->incarnation = 1;
                envelope.numbered->sequence = i;
                envelope.numbered->payload = payload_of({std::to_string(i)}, 0);
                while (transport.listener->on_message(Channel::delta, "ns", encode_envelope(envelope, seal), "2", 0) ==
                       Delivery::busy) {
                    std::this_thread::yield();
                }
            }
        });
        // What is committed before the transport is up is left to hello and pull.
        while (!replicator.status().transports.at(0).up) std::this_thread::yield();
        for (uint64_t i = 1; i <= count; ++i) port.commit(i);
        deliverer.join();
        while (port.held({2, 1}) < count || transport.taken < count || !ready) std::this_thread::yield();
        finished = true;
        reader.join();
        std::atomic<bool> stopped{false};
        replicator.stop(clock.monotonic_us() + 10'000'000, [&stopped] { stopped = true; });
        while (!stopped) std::this_thread::yield();
        replicator.close(clock.monotonic_us() + 1'000'000);
        port.stop();
        lane.stop();
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ThreadsTest);

}  // namespace meridian::replication
