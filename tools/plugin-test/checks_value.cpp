// Names and values at their limits and beyond, and memory that is only borrowed.
#include <functional>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

std::string every_byte() {
    std::string out;
    for (int i = 0; i < 256; ++i) out.push_back(static_cast<char>(i));
    return out;
}

void large_values_are_kept(Fixture& fixture) {
    const std::string payload(16 << 20, 'p');
    const std::string state(16 << 20, 's');
    const std::string value(1 << 20, 'v');
    const auto check = [&](Store& store) {
        const auto record = store.read("room", "big");
        require(record.snapshot == state, "a state of 16 MiB is not read back as it was written");
        require(record.tail.size() == 1 && record.tail[0] == payload + "2",
                "a payload of 16 MiB is not read back as it was written");
        const auto page = store.log(1, 1, 1);
        require(page.entries.size() == 1 && page.entries[0].payload == payload,
                "a payload of 16 MiB is not in the log as it was written");
        require(store.metadata_value("m") == value, "metadata of 1 MiB is not read back as it was written");
    };
    const Place place = fixture.new_place();
    {
        auto store = fixture.open(place);
        store.put_group({{entry(1, "room", "big", payload)}, {{"m", value}}});
        store.put("room", "big", payload + "2");
        store.snapshot("room", "big", 1, state);
        check(store);
    }
    if (fixture.has(MERIDIAN_STORE_VOLATILE)) return;
    auto store = fixture.open(place);
    check(store);
}

void groups_may_be_large(Fixture& fixture) {
    auto store = fixture.open();
    constexpr uint64_t count = 5000;
    Group group;
    for (uint64_t i = 1; i <= count; ++i)
        group.entries.push_back(entry(i, "room", "k" + std::to_string(i % 1000), std::to_string(i)));
    for (int i = 0; i < 500; ++i) group.metadata.push_back({"m" + std::to_string(i), std::to_string(i)});
    store.put_group(std::move(group));
    require_equal(store.all_keys("room", 300).size(), size_t{1000}, "keys");
    require(store.read("room", "k7").tail == std::vector<std::string>{"7", "1007", "2007", "3007", "4007"},
            "room/k7 does not have its five entries in order");
    require_equal(store.scan_metadata("m").size(), size_t{500}, "metadata names");
    require_equal(store.log(count).entries.size(), size_t{1}, "entries at the end of the log");
}

void the_longest_names_are_kept_apart(Fixture& fixture) {
    auto store = fixture.open();
    const std::string longest_namespace(255, 'n');
    const std::string common(4095, 'k');
    store.put(longest_namespace, common + "a", "a", 10);
    store.put(longest_namespace, common + "b", "b", 20);
    store.put(longest_namespace, common, "c");
    store.snapshot(longest_namespace, common + "a", 1, "state of a", 10);
    store.snapshot(longest_namespace, common + "b", 2, "state of b", 20);
    const auto records = store.read(std::vector<Name>{
        {longest_namespace, common + "b"}, {longest_namespace, common + "a"}, {longest_namespace, common}});
    require(records[0].snapshot == "state of b" && records[1].snapshot == "state of a" &&
                records[2].tail == std::vector<std::string>{"c"},
            "keys that differ in the last byte of 4096 are mixed up");
    require(store.all_keys("", 1) == std::vector<Name>{{longest_namespace, common},
                                                       {longest_namespace, common + "a"},
                                                       {longest_namespace, common + "b"}},
            "long keys are not listed in byte order");
    const auto due = store.due(20);
    require(due.size() == 2 && due[0].name.key == common + "a" && due[1].name.key == common + "b",
            "the deadlines of long keys are not listed");
    const std::string long_metadata(479, 'm');
    store.put_group({{}, {{long_metadata + "a", "1"}, {long_metadata + "b", "2"}}});
    require(store.metadata_value(long_metadata + "a") == "1" && store.metadata_value(long_metadata + "b") == "2",
            "metadata names that differ in the last byte of 480 are mixed up");
    require_equal(store.scan_metadata(long_metadata).size(), size_t{2}, "long metadata names listed");
}

void names_and_values_may_hold_any_byte(Fixture& fixture) {
    auto store = fixture.open();
    const std::string bytes = every_byte();
    const std::string namespace_name = bytes.substr(1);  // no NUL
    store.put(namespace_name, bytes, bytes, 10);
    store.put("room", std::string(1, '\0'), "NUL");
    store.put("room", std::string("a\0b", 3), "a NUL b");
    store.put("room", "a", "a");
    store.put_group({{}, {{bytes, bytes}, {std::string("m\0", 2), "1"}, {"m", "2"}}});
    require(store.read(namespace_name, bytes).tail == std::vector<std::string>{bytes},
            "a key or payload of all 256 bytes is not read back");
    require(store.read("room", "a").tail == std::vector<std::string>{"a"} &&
                store.read("room", std::string("a\0b", 3)).tail == std::vector<std::string>{"a NUL b"} &&
                store.read("room", std::string(1, '\0')).tail == std::vector<std::string>{"NUL"},
            "keys with a NUL byte are mixed up with others");
    require(store.all_keys("room", 2) ==
                std::vector<Name>{{"room", std::string(1, '\0')}, {"room", "a"}, {"room", std::string("a\0b", 3)}},
            "keys with a NUL byte are not listed in byte order");
    store.snapshot(namespace_name, bytes, 1, bytes);
    require(store.read(namespace_name, bytes).snapshot == bytes, "a state of all 256 bytes is not read back");
    require(store.metadata_value(bytes) == bytes, "metadata of all 256 bytes is not read back");
    require(store.metadata_value(std::string("m\0", 2)) == "1" && store.metadata_value("m") == "2",
            "metadata names with a NUL byte are mixed up with others");
}

void names_beyond_the_limits_are_refused(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "x");
    const auto invalid = [](const StatusResult& result, const std::string& what) {
        require(result.status == MERIDIAN_INVALID,
                what + ": found " + status_name(result.status) + ", expected MERIDIAN_INVALID");
    };
    const std::vector<std::pair<Name, std::string>> names = {
        {{"", "a"}, "an empty namespace"},
        {{std::string(256, 'n'), "a"}, "a namespace of 256 bytes"},
        {{std::string("a\0b", 3), "a"}, "a namespace with NUL"},
        {{"room", ""}, "an empty key"},
        {{"room", std::string(4097, 'k')}, "a key of 4097 bytes"},
    };
    for (const auto& [name, what] : names) {
        invalid(store.commit({{entry(2, name.namespace_name, name.key, "x")}, {}}), "commit with " + what);
        invalid(store.submit_read_keys({{"room", "a"}, name})->wait(), "read_keys with " + what);
        invalid(store.checkpoint({{name, 1, "state", 0}}), "checkpoint with " + what);
    }
    for (const std::string& name : {std::string(), std::string(481, 'm')}) {
        const std::string what = "a metadata name of " + std::to_string(name.size()) + " bytes";
        invalid(store.commit({{}, {{name, "v"}}}), "commit with " + what);
        invalid(store.submit_read_metadata({"m", name})->wait(), "read_metadata with " + what);
    }
    require_equal(store.all_keys().size(), size_t{1}, "keys after what was refused");
    require_equal(store.scan_metadata("").size(), size_t{0}, "metadata after what was refused");
    store.put("room", "a", "y");
}

void arrays_are_stepped_through_by_their_struct_size(Fixture& fixture) {
    auto store = fixture.open();
    // As a newer host would pass them: each element is longer than this version of the header knows.
    const Manner longer{24, false};
    const auto committed =
        store.submit_commit({{entry(1, "room", "a", "1"), entry(2, "room", "b", "2"), entry(3, "room", "c", "3")},
                             {{"m", "1"}, {"n", "2"}, {"o", "3"}}},
                            longer);
    require_equal(status_name(committed->wait().status), "MERIDIAN_OK", "a commit with longer structs");
    require(store.all_keys() == std::vector<Name>{{"room", "a"}, {"room", "b"}, {"room", "c"}},
            "longer entries were not stepped through by their struct_size");
    require(store.metadata_value("n") == "2" && store.metadata_value("o") == "3",
            "longer metadata writes were not stepped through by their struct_size");
    const auto written = store.submit_checkpoint(
        {{{"room", "a"}, 1, "A", 0}, {{"room", "b"}, 2, "B", 0}, {{"room", "c"}, 3, "C", 0}}, longer);
    require_equal(status_name(written->wait().status), "MERIDIAN_OK", "a checkpoint with longer structs");
    require(store.read("room", "b").snapshot == "B" && store.read("room", "c").snapshot == "C",
            "longer snapshots were not stepped through by their struct_size");
}

void a_struct_without_a_size_is_refused(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "a", "x");
    const auto invalid = [&](const std::string& what, const std::shared_ptr<StatusCall>& call,
                             const std::function<meridian_status()>& function) {
        const auto status = store.submit(call, function)->wait().status;
        require(status == MERIDIAN_INVALID, what + ": found " + status_name(status) + ", expected MERIDIAN_INVALID");
    };
    const auto commit = [&](const std::string& what, const std::function<void(CGroup&)>& change) {
        // Kept by the call, for a store that takes it all the same.
        auto call = make_status_call("commit");
        auto group = std::make_shared<CGroup>(Group{{entry(2, "room", "b", "y")}, {{"m", "v"}}});
        change(*group);
        call->inputs = group;
        invalid(what, call, [&] { return store.functions().commit(store.instance(), group->get(), &call->sink); });
    };
    commit("a group with struct_size 0", [](CGroup& group) { group.c().struct_size = 0; });
    commit("an entry with struct_size 0", [](CGroup& group) { group.entries().front()->struct_size = 0; });
    commit("a metadata write with struct_size 0", [](CGroup& group) { group.metadata().front()->struct_size = 0; });
    auto call = make_status_call("checkpoint");
    auto snapshots = std::make_shared<CSnapshots>(std::vector<Snapshot>{{{"room", "a"}, 1, "state", 0}});
    snapshots->writes().front()->struct_size = 0;
    call->inputs = snapshots;
    invalid("a snapshot with struct_size 0", call, [&] {
        return store.functions().checkpoint(store.instance(), snapshots->get(), snapshots->size(), &call->sink);
    });
    require(store.read("room", "b").tail.empty() && !store.metadata_value("m") && !store.read("room", "a").snapshot,
            "something of what was refused is visible");
}

void what_is_given_is_copied(Fixture& fixture) {
    auto store = fixture.open();
    // All of it is overwritten as soon as the submit returns, the sinks too.
    const Manner overwritten{0, true};
    const auto ok = [](const StatusResult& result, const std::string& what) {
        require(result.ok(), what + ": found " + status_name(result.status) + ", expected MERIDIAN_OK");
    };
    std::vector<std::shared_ptr<StatusCall>> commits;
    for (uint64_t i = 1; i <= 20; ++i) {
        commits.push_back(store.submit_commit(
            {{entry(i, "room", "a key whose name is long enough " + std::to_string(i), "payload " + std::to_string(i))},
             {{"metadata " + std::to_string(i), "value " + std::to_string(i)}}},
            overwritten));
    }
    for (const auto& call : commits) ok(call->wait(), "commit");
    ok(store
           .submit_checkpoint({{{"room", "a key whose name is long enough 3"}, 3, std::string(100, 's'), 33}},
                              overwritten)
           ->wait(),
       "checkpoint");
    for (uint64_t i = 1; i <= 20; ++i) {
        const std::string number = std::to_string(i);
        const Name name{"room", "a key whose name is long enough " + number};
        const auto records = store.submit_read_keys({name}, overwritten)->wait();
        ok(records, "read_keys");
        require(records.records.size() == 1 && records.records[0].name == name,
                "read_keys did not read the names that it was given");
        if (i == 3) require(records.records[0].snapshot == std::string(100, 's'), "a snapshot changed after the call");
        if (i != 3)
            require(records.records[0].tail == std::vector<std::string>{"payload " + number},
                    "an entry changed after the call that gave it");
        const auto values = store.submit_read_metadata({"metadata " + number}, overwritten)->wait();
        ok(values, "read_metadata");
        require(values.values == std::vector<Value>{{"metadata " + number, "value " + number}},
                "metadata changed after the call that gave it, or was not read by the name given");
    }
    const auto keys =
        store.submit_scan_keys("room", Name{"room", "a key whose name is long enough 8"}, 10, overwritten)->wait();
    require(keys.ok() && keys.names.size() == 1, "scan_keys did not use the names that it was given");
    const auto listed = store.submit_scan_metadata("metadata 1", "metadata 18", 10, overwritten)->wait();
    require(listed.ok() && listed.values.size() == 1, "scan_metadata did not use the names that it was given");
    ok(store.submit_read_log(1, 5, 1000, overwritten)->wait(), "read_log");
    ok(store.submit_scan_due(100, 5, overwritten)->wait(), "scan_due");
}

}  // namespace

std::vector<Check> value_checks() {
    return {
        {"large values are kept", large_values_are_kept},
        {"groups may be large", groups_may_be_large},
        {"the longest names are kept apart", the_longest_names_are_kept_apart},
        {"names and values may hold any byte", names_and_values_may_hold_any_byte},
        {"names beyond the limits are refused", names_beyond_the_limits_are_refused},
        {"arrays are stepped through by their struct_size", arrays_are_stepped_through_by_their_struct_size},
        {"a struct without a size is refused", a_struct_without_a_size_is_refused},
        {"what is given is copied", what_is_given_is_copied},
    };
}

}  // namespace meridian::plugin_test
