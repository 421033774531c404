// Scans of names, deadlines and metadata: order, limits, going on after a page.
#include "fixture.h"

namespace meridian::plugin_test {
namespace {

// One namespace is a prefix of another; half of the keys have a snapshot, half are in the log only.
std::vector<Name> write_names(Store& store) {
    const std::vector<Name> names = {{"a", "x"},   {"a", "xa"}, {"a", "y"}, {"a", "\xff"},
                                     {"a-b", "x"}, {"ab", "x"}, {"b", "a"}, {"\xff", "z"}};
    for (size_t i = names.size(); i-- > 0;) {
        const uint64_t position = store.put(names[i].namespace_name, names[i].key, "v");
        if (i % 2 == 0) store.snapshot(names[i].namespace_name, names[i].key, position, "s");
    }
    return names;
}

void require_names(const std::vector<Name>& found, const std::vector<Name>& expected, const std::string& what) {
    std::string text = what + ": found";
    for (const Name& name : found) text += " " + to_string(name);
    text += ", expected";
    for (const Name& name : expected) text += " " + to_string(name);
    require(found == expected, text);
}

void keys_are_listed_in_byte_order(Fixture& fixture) {
    auto store = fixture.open();
    const auto names = write_names(store);
    require_names(store.all_keys(), names, "scan_keys of all namespaces");
    const auto page = store.keys("", std::nullopt, 3);
    for (const DueName& name : page.names) require_equal(name.deadline_ms, uint64_t{0}, "deadline_ms in scan_keys");
}

void keys_of_one_namespace_are_listed_alone(Fixture& fixture) {
    auto store = fixture.open();
    const auto names = write_names(store);
    require_names(store.all_keys("a"), {names.begin(), names.begin() + 4}, "scan_keys of namespace 'a'");
    require_names(store.all_keys("a", 3), {names.begin(), names.begin() + 4}, "scan_keys of 'a' in pages of 3");
    require_names(store.all_keys("ab"), {names[5]}, "scan_keys of namespace 'ab'");
    require_names(store.all_keys("c"), {}, "scan_keys of a namespace without keys");
    // `after` may lie in another namespace.
    const auto page = store.keys("ab", Name{"a", "y"}, 10);
    require(page.names.size() == 1 && page.names[0].name == names[5],
            "scan_keys of 'ab' after 'a'/'y' is not 'ab'/'x'");
    require(store.keys("a", Name{"ab", "x"}, 10).names.empty(), "scan_keys of 'a' after 'ab'/'x' is not empty");
}

void key_pages_go_on_after_the_last_name(Fixture& fixture) {
    auto store = fixture.open();
    const auto names = write_names(store);
    for (const uint64_t count_max : {1u, 2u, 3u, 5u})
        require_names(store.all_keys("", count_max), names, "scan_keys in pages of " + std::to_string(count_max));
    // After a name that does not exist.
    const auto page = store.keys("", Name{"a", "xaa"}, 2);
    require(page.names.size() == 2 && page.names[0].name == names[2],
            "scan_keys after 'a'/'xaa', which does not exist, does not begin with the next name");
}

void a_key_page_says_whether_there_are_more(Fixture& fixture) {
    auto store = fixture.open();
    const auto names = write_names(store);
    require(store.keys("", std::nullopt, names.size() - 1).more, "more: found 0 with one name left, expected 1");
    require(!store.keys("", std::nullopt, names.size()).more, "more: found 1 with no name left, expected 0");
    require(!store.keys("", names.back(), 1).more, "more: found 1 after the last name, expected 0");
    require(!store.keys("a", std::nullopt, 4).more, "more: found 1 with no name of the namespace left, expected 0");
    require(store.keys("a", std::nullopt, 3).more, "more: found 0 with one name of the namespace left, expected 1");
}

using Due = std::vector<DueName>;

void due_keys_come_in_order_of_deadline(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "late", "v", 300);
    store.put("room", "early", "v", 100);
    store.put("room", "never", "v", 0);
    store.put("room", "middle", "v", 200);
    store.put("room", "stored", "v", 150);
    store.snapshot("room", "stored", 5, "s", 150);
    store.snapshot("room", "middle", 4, "s", 200);
    require(store.due(250) == Due{{{"room", "early"}, 100}, {{"room", "stored"}, 150}, {{"room", "middle"}, 200}},
            "scan_due(250) does not give 'early' 100, 'stored' 150, 'middle' 200");
    require(store.due(99).empty(), "scan_due gave a key whose deadline is later than until_ms");
    require_equal(store.due(100).size(), size_t{1}, "keys with a deadline at until_ms");
    require(store.due(250, 2) == Due{{{"room", "early"}, 100}, {{"room", "stored"}, 150}},
            "scan_due(250) of at most 2 does not give 'early' and 'stored'");
    const auto page = store.submit_scan_due(250, 2)->wait();
    require(page.more, "more: found 0 with a deadline left, expected 1");
    require(!store.submit_scan_due(250, 3)->wait().more, "more: found 1 with no deadline left, expected 0");
}

void the_newest_deadline_of_a_key_counts(Fixture& fixture) {
    auto store = fixture.open();
    store.put("room", "moved", "v", 100);
    store.put("room", "cleared", "v", 100);
    store.put("room", "by snapshot", "v", 100);
    store.snapshot("room", "cleared", 2, "s", 100);
    store.put("room", "moved", "v", 260);
    store.put("room", "cleared", "v", 0);
    store.snapshot("room", "by snapshot", 5, "s", 400);
    require(store.due(250).empty(), "scan_due gave a deadline that a newer entry or snapshot has replaced");
    require(store.due(1000) == Due{{{"room", "moved"}, 260}, {{"room", "by snapshot"}, 400}},
            "scan_due does not give the newest deadlines");
}

using Values = std::vector<Value>;

void metadata_is_listed_in_byte_order(Fixture& fixture) {
    auto store = fixture.open();
    for (const char* name : {"b", "a/2", "a", "\xff", "a/1", "a0"}) store.put_metadata(name, std::string("v") + name);
    const Values all = {{"a", "va"}, {"a/1", "va/1"}, {"a/2", "va/2"}, {"a0", "va0"}, {"b", "vb"}, {"\xff", "v\xff"}};
    require(store.scan_metadata("") == all, "scan_metadata of all names is not in byte order");
    require(store.scan_metadata("", "a/1", 2) == Values{all[2], all[3]},
            "scan_metadata after 'a/1', at most 2, does not give 'a/2' and 'a0'");
    require(store.scan_metadata("", "a/11", 1) == Values{all[2]},
            "scan_metadata after 'a/11', which does not exist, does not give 'a/2'");
    require(store.scan_metadata("", "\xff", 5).empty(), "scan_metadata after the last name is not empty");
}

void metadata_is_listed_by_prefix(Fixture& fixture) {
    auto store = fixture.open();
    for (const char* name : {"i/1", "i/2", "i/3", "i/4", "i0", "j/1"}) store.put_metadata(name, name);
    store.put_metadata("i/2", std::nullopt);
    store.put_metadata("i/3", "changed");
    require(store.scan_metadata("i/") == Values{{"i/1", "i/1"}, {"i/3", "changed"}, {"i/4", "i/4"}},
            "scan_metadata of the prefix 'i/' does not give 'i/1', 'i/3', 'i/4'");
    require(store.scan_metadata("i/", "i/1", 1) == Values{{"i/3", "changed"}},
            "scan_metadata of 'i/' after 'i/1', at most 1, does not give 'i/3'");
    require_equal(store.scan_metadata("i/", "a").size(), size_t{3}, "names of 'i/' after 'a', which is before all");
    require(store.scan_metadata("i/", "j").empty(), "scan_metadata of 'i/' after 'j' is not empty");
    require(store.scan_metadata("k").empty(), "scan_metadata of a prefix that no name has is not empty");
}

}  // namespace

std::vector<Check> scan_checks() {
    return {
        {"keys are listed in byte order", keys_are_listed_in_byte_order},
        {"keys of one namespace are listed alone", keys_of_one_namespace_are_listed_alone},
        {"key pages go on after the last name", key_pages_go_on_after_the_last_name},
        {"a key page says whether there are more", a_key_page_says_whether_there_are_more},
        {"due keys come in order of deadline", due_keys_come_in_order_of_deadline},
        {"the newest deadline of a key counts", the_newest_deadline_of_a_key_counts},
        {"metadata is listed in byte order", metadata_is_listed_in_byte_order},
        {"metadata is listed by prefix", metadata_is_listed_by_prefix},
    };
}

}  // namespace meridian::plugin_test
