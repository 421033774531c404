// Plug-ins that are built well and behave badly: what the loader refuses, and what becomes of exceptions and slow
// callbacks.
#include <cppunit/extensions/HelperMacros.h>

#include "store_fixture.h"

namespace meridian::test {
namespace {

class StrangePluginTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StrangePluginTest);
    CPPUNIT_TEST(refuses_a_missing_function);
    CPPUNIT_TEST(refuses_more_exports_than_the_entry);
    CPPUNIT_TEST(refuses_an_entry_that_throws);
    CPPUNIT_TEST(refuses_a_key_whose_default_is_no_value_of_its_type);
    CPPUNIT_TEST(refuses_keys_that_make_no_sense);
    CPPUNIT_TEST(an_exception_of_create_is_the_reason_of_a_refusal);
    CPPUNIT_TEST(an_exception_of_a_submit_completes_the_call_as_failed);
    CPPUNIT_TEST(an_exception_of_a_call_without_status_is_swallowed);
    CPPUNIT_TEST(a_submit_without_size_or_count_is_refused_before_the_store_sees_it);
    CPPUNIT_TEST(closing_waits_for_a_slow_timer_callback);
    CPPUNIT_TEST_SUITE_END();

    TestHost host_;

    static void must_refuse(const std::string& path, const std::string& part) {
        const auto loaded = plugin::load_plugin(path, {}, plugin::Kind::store);
        CPPUNIT_ASSERT_MESSAGE("loaded", !loaded.ok());
        for (const std::string& each : {path, part}) {
            CPPUNIT_ASSERT_MESSAGE("'" + loaded.error().message + "' lacks '" + each + "'",
                                   loaded.error().message.find(each) != std::string::npos);
        }
    }
    static std::string refusal_of(const meridian_config_key& key) {
        meridian_plugin_descriptor descriptor{};
        descriptor.config_keys = &key;
        descriptor.config_key_count = 1;
        const auto checked = plugin::check_declared_keys(descriptor);
        return checked ? "" : checked.error().message;
    }
    Result<std::unique_ptr<plugin::LoadedStore>> open(const std::string& path) {
        const auto loaded = plugin::load_plugin(path, {}, plugin::Kind::store);
        if (!loaded) return loaded.error();
        const auto configuration = plugin::check_configuration(
            *loaded, "[store]", {{"password", "x"}}, [](const std::string&) { return std::optional<std::string>(); });
        if (!configuration) return configuration.error();
        return plugin::open_store(*loaded, *configuration, host_.services());
    }
    TestStore must_open(const std::string& path) {
        auto store = open(path);
        CPPUNIT_ASSERT_MESSAGE(store ? "" : store.error().message, store.ok());
        return TestStore(std::move(*store));
    }

public:
    void refuses_a_missing_function() { must_refuse(STRANGE_NO_COMMIT_PATH, "lacks 'store.commit'"); }

    void refuses_more_exports_than_the_entry() {
        must_refuse(STRANGE_EXTRA_EXPORT_PATH,
                    "exports 1 symbols besides 'meridian_plugin', the first is 'strange_extra'");
    }

    void refuses_an_entry_that_throws() {
        must_refuse(STRANGE_THROWING_ENTRY_PATH, "'meridian_plugin' threw an exception");
    }

    void refuses_a_key_whose_default_is_no_value_of_its_type() {
        must_refuse(STRANGE_BAD_KEY_PATH,
                    "its configuration key 1 ('room') has the default 'much', expected a size such as");
    }

    void refuses_keys_that_make_no_sense() {
        meridian_config_key key{sizeof key, MERIDIAN_TYPE_STRING, 0, 0, "good_1", "", 0, 0, nullptr, nullptr, nullptr};
        CPPUNIT_ASSERT_EQUAL(std::string(), refusal_of(key));
        key.name = "Bad";
        CPPUNIT_ASSERT_EQUAL(std::string("its configuration key 1 is called 'Bad', expected a name of a-z, 0-9 and _"),
                             refusal_of(key));
        key.name = "plugin";
        CPPUNIT_ASSERT_EQUAL(std::string("its configuration key 1 is called 'plugin', which is taken"),
                             refusal_of(key));
        key.name = nullptr;
        CPPUNIT_ASSERT_EQUAL(std::string("its configuration key 1 has no name"), refusal_of(key));
        key.name = "good_1";
        key.type = 99;
        CPPUNIT_ASSERT_EQUAL(
            std::string("its configuration key 1 ('good_1') has type 99, which this host does not know"),
            refusal_of(key));
        key.struct_size = 8;
        CPPUNIT_ASSERT(refusal_of(key).find("has 8 bytes, expected at least") != std::string::npos);
    }

    void an_exception_of_create_is_the_reason_of_a_refusal() {
        const auto store = open(STRANGE_THROWING_CREATE_PATH);
        CPPUNIT_ASSERT(!store.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("store strange: thrown by create"), store.error().message);
    }

    void an_exception_of_a_submit_completes_the_call_as_failed() {
        auto store = must_open(STRANGE_THROWING_CALLS_PATH);
        const auto committed = store.commit({{entry(1, "room", "a", "x")}, {}});
        CPPUNIT_ASSERT(committed.status == node::CommitStatus::outcome_unknown);
        CPPUNIT_ASSERT_EQUAL(std::string("the store plug-in failed internally"), committed.message);
        CPPUNIT_ASSERT_EQUAL(std::string("the store plug-in failed internally"), store.read("room", "a").error);
        CPPUNIT_ASSERT_EQUAL(std::string("the store plug-in failed internally"), store.log(1).error);
        CPPUNIT_ASSERT_EQUAL(std::string("the store plug-in failed internally"), store.snapshot("room", "a", 0, "s"));
    }

    void an_exception_of_a_call_without_status_is_swallowed() {
        auto store = must_open(STRANGE_THROWING_CALLS_PATH);
        CPPUNIT_ASSERT(store->stale_keys(10).empty());
        store->retain_from(1);
    }

    void a_submit_without_size_or_count_is_refused_before_the_store_sees_it() {
        auto store = must_open(STRANGE_PLAIN_PATH);
        CPPUNIT_ASSERT_EQUAL(std::string("the store refused the call as invalid"), store.log(1, 0).error);
        CPPUNIT_ASSERT_EQUAL(std::string("the store refused the call as invalid"),
                             store.keys("", std::nullopt, 0).error);
    }

    void closing_waits_for_a_slow_timer_callback() {
        auto store = must_open(STRANGE_SLOW_TIMER_PATH);
        CPPUNIT_ASSERT(
            TestStore::eventually([&] { return host_.warnings().find("timer begins") != std::string::npos; }));
        store->close();
        CPPUNIT_ASSERT(host_.warnings().find("timer ends") != std::string::npos);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StrangePluginTest);

}  // namespace
}  // namespace meridian::test
