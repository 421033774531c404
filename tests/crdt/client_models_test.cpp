// What clients show is what their node shows: models of the three clients on random histories of two nodes. Clients
// listen from the start, come later, or return after missing a part. Where the wire cannot do it, the test says so by
// name.
#include <cppunit/extensions/HelperMacros.h>

#include <random>

#include "crdt/client_models.h"
#include "crdt/key_history.h"

using namespace meridian::crdt;

namespace meridian::test {

namespace {

constexpr Client all_clients[] = {Client::typescript, Client::python, Client::rust};
constexpr uint64_t seeds = 400;

std::string text_of(uint64_t number) {
    return "v" + std::to_string(number);
}

// One key at two nodes. Clients are connected to node 0; `listen` gets everything that it tells them.
template <class Delta, class Listen>
class Cluster {
public:
    Cluster(uint64_t seed, Listen listen) : random(seed), listen_(listen) {}

    // An op at one of the nodes; deltas reach the other node late, in any order, sometimes twice.
    void step(const Op& op) {
        now_ms += 1 + random() % 50;
        const size_t node = random() % 2;
        CountingStamps stamps(node + 1);
        tell(nodes[0].expire(now_ms));
        nodes[1].expire(now_ms);
        if (nodes[node].check(op, Limits{}, now_ms)) return;
        auto applied = nodes[node].apply(op, std::nullopt, {{{now_ms, 0, node + 1}, 1}, stamps});
        if (node == 0) tell(applied.views);
        if (applied.changed) under_way.emplace_back(1 - node, std::move(applied.delta));
        while (!under_way.empty() && random() % 3 != 0) deliver();
    }
    void deliver() {
        const size_t i = random() % under_way.size();
        CountingStamps stamps(9);
        const auto [node, delta] = under_way[i];
        auto views = nodes[node].join(delta, {now_ms, stamps});
        if (node == 0) tell(views);
        if (random() % 4 != 0) under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(i));
    }
    void finish() {
        while (!under_way.empty()) deliver();
        tell(nodes[0].expire(now_ms));
    }
    template <class Model>
    void sync(Model& model) const {
        for (const auto& delta : nodes[0].sync({now_ms, SequenceForm::ascending_siblings})) {
            model.take(std::get<Delta>(delta));
        }
    }

    std::mt19937_64 random;
    uint64_t now_ms = 1'000'000;
    Key nodes[2];
    std::vector<std::pair<size_t, KeyDelta>> under_way;

private:
    void tell(const std::vector<ClientDelta>& views) {
        for (const auto& view : views) listen_(std::get<Delta>(view));
    }
    Listen listen_;
};

// Runs a history and gives the three models at its end: listened throughout, came in the middle, missed the middle
// third. `make_op(random, n, now)` makes the n-th op.
template <class Delta, class Model, class MakeOp, class Check>
void run_models(uint64_t seed, Model model, MakeOp make_op, Check check) {
    constexpr size_t steps = 30;
    Model listened = model, late = model, returned = model;
    size_t step = 0;
    const auto listen = [&](const Delta& delta) {
        listened.take(delta);
        if (step >= steps / 2) late.take(delta);
        if (step < steps / 3 || step >= 2 * steps / 3) returned.take(delta);
    };
    Cluster<Delta, decltype(listen)> cluster(seed, listen);
    for (; step < steps; ++step) {
        if (step == steps / 2) cluster.sync(late);
        if (step == 2 * steps / 3) cluster.sync(returned);
        cluster.step(make_op(cluster.random, step, cluster.now_ms));
    }
    cluster.finish();
    const Key& server = cluster.nodes[0];
    const std::string where = "seed " + std::to_string(seed) + ", a client that ";
    check(where + "listened", listened, server, cluster.now_ms);
    check(where + "came late", late, server, cluster.now_ms);
    check(where + "returned", returned, server, cluster.now_ms);
}

Tag tag(uint64_t number) {
    Tag made{};
    made[0] = static_cast<uint8_t>(number);
    return made;
}

OrSetOp set_op(std::mt19937_64& random, size_t n) {
    const auto element = JsonValue::integer(static_cast<int64_t>(random() % 3));
    if (random() % 2 == 0) return OrSetAdd{element, tag(n), 0, 0};
    std::set<Tag> known;
    for (int i = 0; i < 8; ++i) known.insert(tag(random() % (n + 1)));
    return OrSetRemove{element, {known.begin(), known.end()}};
}

// A stamp of its own for every write: see exceptions_of_the_wire for equal ones.
LwwRegisterOp register_op(std::mt19937_64& random, size_t n) {
    const uint64_t author = 1 + random() % 3;
    return {JsonValue::string(text_of(n)), {1000 + random() % 30, static_cast<uint16_t>(n), author}, author};
}

std::set<std::string> live_elements(const OrSet& set) {
    std::set<std::string> present;
    for (const auto& element : set.full_delta().elements) {
        if (!element.adds.empty()) present.insert(element.element);
    }
    return present;
}

CounterModel shown(const GCounter& counter) {
    CounterModel model;
    for (const auto& delta : counter.sync({})) model.take(delta);
    return model;
}

}  // namespace

class ClientModelsTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ClientModelsTest);
    CPPUNIT_TEST(counters_end_alike);
    CPPUNIT_TEST(sets_end_alike);
    CPPUNIT_TEST(registers_end_alike);
    CPPUNIT_TEST(presences_end_alike);
    CPPUNIT_TEST(presences_with_changing_ttl_end_alike_for_listeners);
    CPPUNIT_TEST(maps_end_alike);
    CPPUNIT_TEST(exceptions_of_the_wire);
    CPPUNIT_TEST_SUITE_END();

    void counters_end_alike() {
        for (uint64_t seed = 0; seed < seeds; ++seed) {
            run_models<GCounterClientDelta>(
                seed, CounterModel{},
                [](auto& random, size_t, uint64_t) {
                    return GCounterOp{random() % 3, random() % 5};
                },
                [](const std::string& where, const CounterModel& model, const Key& server, uint64_t) {
                    if (server.generation() == 0) return;
                    CPPUNIT_ASSERT_MESSAGE(where, model.slots == shown(std::get<GCounter>(server.value())).slots);
                });
        }
    }
    void sets_end_alike() {
        for (uint64_t seed = 0; seed < seeds; ++seed) {
            run_models<OrSetClientDelta>(
                seed, SetModel{}, [](auto& random, size_t n, uint64_t) { return set_op(random, n); },
                [](const std::string& where, const SetModel& model, const Key& server, uint64_t) {
                    if (server.generation() == 0) return;
                    CPPUNIT_ASSERT_MESSAGE(where, model.elements() == live_elements(std::get<OrSet>(server.value())));
                });
        }
    }
    void registers_end_alike() {
        for (const Client client : all_clients) {
            for (uint64_t seed = 0; seed < seeds; ++seed) {
                run_models<LwwRegisterClientDelta>(
                    seed, RegisterModel{client, {}},
                    [](auto& random, size_t n, uint64_t) { return register_op(random, n); },
                    [](const std::string& where, const RegisterModel& model, const Key& server, uint64_t) {
                        CPPUNIT_ASSERT_MESSAGE(where,
                                               model.entry == std::get<LwwRegister>(server.value()).entry()->entry);
                    });
            }
        }
    }

    // Clocks of clients are right; their stamps differ, because every op has its own millisecond.
    template <class Ttl>
    static PresenceOp presence_op(std::mt19937_64& random, size_t n, uint64_t now_ms, Ttl ttl_ms) {
        const uint64_t id = 1 + random() % 3;
        const Hlc stamp{now_ms + n % 2, static_cast<uint16_t>(n), id};
        if (random() % 4 == 0) return PresenceLeave{id, stamp};
        return PresenceHeartbeat{id, JsonValue::string(text_of(n)), stamp, ttl_ms()};
    }
    static void check_presence(const std::string& where, const PresenceModel& model, const Key& server,
                               uint64_t now_ms) {
        if (server.generation() == 0) return;
        PresenceModel fresh{model.client, {}};
        for (const auto& delta : server.sync({now_ms, {}})) fresh.take(std::get<PresenceClientDelta>(delta));
        CPPUNIT_ASSERT_MESSAGE(where, model.alive(now_ms) == fresh.alive(now_ms));
        std::string text = "{\"entries\":{";
        for (const auto& [id, data] : model.alive(now_ms)) {
            if (text.back() != '{') text += ',';
            text += "\"" + std::to_string(id) + "\":{\"data\":" + data + ",";
        }
        // The data that HTTP shows, without the deadlines.
        std::string value = server.value_json(now_ms);
        for (size_t at; (at = value.find("\"expires_at_ms\":")) != std::string::npos;) {
            value.erase(at, value.find('}', at) + 1 - at);
        }
        CPPUNIT_ASSERT_EQUAL_MESSAGE(where, text + "}}", value);
    }
    void presences_end_alike() {
        for (const Client client : all_clients) {
            for (uint64_t seed = 0; seed < seeds; ++seed) {
                run_models<PresenceClientDelta>(
                    seed, PresenceModel{client, {}},
                    [](auto& random, size_t n, uint64_t now_ms) {
                        return presence_op(random, n, now_ms, [] { return uint64_t(30'000); });
                    },
                    check_presence);
            }
        }
    }
    // Who returns may hold an entry that ends later than the newer one: TypeScript and Python do not take it (D-15b).
    void presences_with_changing_ttl_end_alike_for_listeners() {
        for (const Client client : {Client::typescript, Client::python}) {
            for (uint64_t seed = 0; seed < seeds; ++seed) {
                run_models<PresenceClientDelta>(
                    seed, PresenceModel{client, {}},
                    [](auto& random, size_t n, uint64_t now_ms) {
                        return presence_op(random, n, now_ms, [&] { return 200 + random() % 1000; });
                    },
                    [](const std::string& where, const PresenceModel& model, const Key& server, uint64_t now_ms) {
                        if (where.find("returned") == std::string::npos) check_presence(where, model, server, now_ms);
                    });
            }
        }
    }
    void maps_end_alike() {
        for (uint64_t seed = 0; seed < seeds; ++seed) {
            run_models<CrdtMapClientDelta>(
                seed, MapModel{},
                [](auto& random, size_t n, uint64_t) -> Op {
                    switch (random() % 3) {
                        case 0:
                            return CrdtMapOp{"c", Type::gcounter, GCounterOp{random() % 3, random() % 5}};
                        case 1:
                            return CrdtMapOp{"s", Type::orset, set_op(random, n)};
                        default:
                            return CrdtMapOp{"r", Type::lww_register, register_op(random, n)};
                    }
                },
                [](const std::string& where, const MapModel& model, const Key& server, uint64_t) {
                    for (const auto& [key, inner] : std::get<CrdtMap>(server.value()).entries()) {
                        if (const auto* counter = std::get_if<GCounter>(&inner)) {
                            CPPUNIT_ASSERT_MESSAGE(where, model.counters.at(key).slots == shown(*counter).slots);
                        }
                        if (const auto* set = std::get_if<OrSet>(&inner)) {
                            CPPUNIT_ASSERT_MESSAGE(where, model.sets.at(key) == live_elements(*set));
                        }
                        if (const auto* reg = std::get_if<LwwRegister>(&inner)) {
                            CPPUNIT_ASSERT_MESSAGE(where, model.registers.at(key) == reg->entry()->entry);
                        }
                    }
                });
        }
    }

    // D-12: TypeScript and Python do not compare node ids and texts, so of two entries with the same wall time, count
    // and author they keep the first. D-15: the Rust client keeps the first of two heartbeats with one stamp. D-27:
    // counters cannot be lowered.
    void exceptions_of_the_wire() {
        const LwwEntry first{JsonValue::string("a"), {100, 0, 1}, 1};
        const LwwEntry second{JsonValue::string("b"), {100, 0, 1}, 1};
        for (const Client client : all_clients) {
            RegisterModel model{client, {}};
            model.take({first});
            model.take({second});
            CPPUNIT_ASSERT(*model.entry == (client == Client::rust ? second : first));
        }
        PresenceModel rust{Client::rust, {}};
        rust.take({{{1, PresenceClientEntry{JsonValue::string("a"), {100, 0, 1}, 1000}}}});
        rust.take({{{1, PresenceClientEntry{JsonValue::string("b"), {100, 0, 1}, 1000}}}});
        CPPUNIT_ASSERT_EQUAL(std::string("\"a\""), rust.alive(100).at(1));
        CPPUNIT_ASSERT(GCounter().emptying().empty() && PnCounter().emptying().empty() &&
                       LwwRegister().emptying().empty());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ClientModelsTest);

}  // namespace meridian::test
