#include "pg_fixture.h"

namespace meridian::test {

const plugin::LoadedPlugin& store_pg() {
    static const plugin::LoadedPlugin loaded = [] {
        auto found = plugin::load_plugin(STORE_PG_PATH, {}, plugin::Kind::store);
        if (!found) throw std::runtime_error(found.error().message);
        return *found;
    }();
    return loaded;
}

Section PgFixture::section(const Section& changed) const {
    Section out = changed;
    out.try_emplace("url", server_->url());
    out.try_emplace("schema", "s");
    out.try_emplace("unavailable_after", "300ms");
    return out;
}

Result<std::unique_ptr<plugin::LoadedStore>> PgFixture::try_to_open(const Section& changed) {
    auto configuration = plugin::check_configuration(store_pg(), "[store]", section(changed),
                                                     [](const std::string&) { return std::optional<std::string>(); });
    if (!configuration) return configuration.error();
    return plugin::open_store(store_pg(), *configuration, host_.services());
}

TestStore PgFixture::open(const Section& changed) {
    auto store = try_to_open(changed);
    if (!store) CPPUNIT_FAIL(store.error().message);
    return TestStore(std::move(*store));
}

std::string PgFixture::refusal(const Section& changed) {
    const auto store = try_to_open(changed);
    return store.ok() ? "it was opened" : store.error().message;
}

std::string PgFixture::await_backend(PostgresClient& client, const std::string& condition) {
    std::string found;
    await("a backend with " + condition, [&] {
        found = client.value("SELECT pid FROM pg_stat_activity WHERE " + condition);
        return !found.empty();
    });
    return found;
}

std::string log_of(TestStore& store) {
    std::string out;
    for (const node::LogEntry& entry : store.log(1).entries) out += (out.empty() ? "" : " ") + entry.payload;
    return out;
}

}  // namespace meridian::test
