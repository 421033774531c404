// The plug-in as such: file, descriptor, configuration keys.
#include <cstring>
#include <set>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

void one_line(const char* text, const std::string& what) {
    require(text != nullptr && text[0] != '\0', what + ": none, expected one line of text");
    require(std::strchr(text, '\n') == nullptr, what + ": found " + shown(std::string(text)) + ", expected one line");
}

// Owner, note, exported symbols, missing functions, declared keys: the fixture exists, so the loader has said yes.
void the_loader_accepts_the_file(Fixture&) {}

void its_descriptor_is_complete(Fixture& fixture) {
    const auto& descriptor = fixture.descriptor();
    const std::string name = descriptor.identity.name;
    require(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos,
            "name: found " + shown(name) + ", expected characters of a-z, 0-9 and -");
    require(descriptor.identity.version[0] != '\0', "the version is empty");
    one_line(descriptor.licence, "licence");
    one_line(descriptor.summary, "summary");
    const bool store = descriptor.identity.kind == MERIDIAN_KIND_STORE;
    require((descriptor.store != nullptr) == store, "'store' is set for a store, and only for a store");
    require((descriptor.transport != nullptr) == !store,
            "'transport' is set for a transport, and only for a transport");
    if (!store) {
        constexpr uint32_t known = (MERIDIAN_TRANSPORT_NODE_NAMES << 1) - 1;
        require(
            (descriptor.capabilities & ~known) == 0,
            "capabilities: found " + std::to_string(descriptor.capabilities) + ", expected MERIDIAN_TRANSPORT_* only");
        const auto& functions = *descriptor.transport;
        require(fixture.has(MERIDIAN_TRANSPORT_UNICAST) || functions.send == nullptr,
                "a 'send' without MERIDIAN_TRANSPORT_UNICAST");
        require(
            fixture.has(MERIDIAN_TRANSPORT_REQUEST) || (functions.request == nullptr && functions.cancel == nullptr),
            "a 'request' or 'cancel' without MERIDIAN_TRANSPORT_REQUEST");
        return;
    }
    constexpr uint32_t known = MERIDIAN_STORE_SHARED | MERIDIAN_STORE_BACKUP | MERIDIAN_STORE_VOLATILE;
    require((descriptor.capabilities & ~known) == 0,
            "capabilities: found " + std::to_string(descriptor.capabilities) + ", expected MERIDIAN_STORE_* only");
    if (fixture.has(MERIDIAN_STORE_BACKUP))
        require(descriptor.store->backup != nullptr, "MERIDIAN_STORE_BACKUP without a 'backup'");
    if (!fixture.has(MERIDIAN_STORE_SHARED)) return;
    require(descriptor.get_extension != nullptr, "MERIDIAN_STORE_SHARED without a 'get_extension'");
    const auto* shared =
        static_cast<const meridian_shared_store_functions*>(descriptor.get_extension(MERIDIAN_SHARED_STORE_EXTENSION));
    require(shared != nullptr, "MERIDIAN_STORE_SHARED without the extension '" MERIDIAN_SHARED_STORE_EXTENSION "'");
    require(MERIDIAN_HAS(shared, meridian_shared_store_functions, watch),
            "the extension '" MERIDIAN_SHARED_STORE_EXTENSION "' has " + std::to_string(shared->struct_size) +
                " bytes, expected at least " + std::to_string(sizeof *shared));
    require(shared->lock_group != nullptr && shared->commit_locked != nullptr && shared->abort_locked != nullptr &&
                shared->watch != nullptr,
            "the extension '" MERIDIAN_SHARED_STORE_EXTENSION "' lacks a function");
}

void an_unknown_extension_is_null(Fixture& fixture) {
    if (fixture.descriptor().get_extension == nullptr) throw Skipped("it has no get_extension");
    require(fixture.descriptor().get_extension("meridian-plugin-test-knows-no-such/0") == nullptr,
            "get_extension gave a table for a name that does not exist");
}

// What the loader does not look at, because a host can live with it.
void check_key(const meridian_config_key& key, const std::string& what, bool can_reconfigure) {
    constexpr uint32_t known_flags =
        MERIDIAN_KEY_REQUIRED | MERIDIAN_KEY_SECRET | MERIDIAN_KEY_RELOADABLE | MERIDIAN_KEY_FILE;
    require((key.flags & ~known_flags) == 0,
            what + ": flags " + std::to_string(key.flags) + ", expected MERIDIAN_KEY_* only");
    require_equal(key.reserved, 0u, what + ": reserved");
    one_line(key.help, what + ": help");
    const bool has_range =
        key.type == MERIDIAN_TYPE_INTEGER || key.type == MERIDIAN_TYPE_SIZE || key.type == MERIDIAN_TYPE_DURATION;
    require(!has_range || key.minimum <= key.maximum, what + ": its minimum is greater than its maximum");
    require(key.type != MERIDIAN_TYPE_CHOICE || (key.choices != nullptr && key.choices[0] != '\0'),
            what + ": a choice without 'choices'");
    require((key.flags & MERIDIAN_KEY_REQUIRED) == 0 || key.default_value == nullptr,
            what + ": it is required and has a default, expected one of them");
    require((key.flags & MERIDIAN_KEY_RELOADABLE) == 0 || can_reconfigure,
            what + ": it is reloadable, but there is no 'reconfigure'");
}

void its_configuration_keys_make_sense(Fixture& fixture) {
    const auto& descriptor = fixture.descriptor();
    std::set<std::string> names;
    const auto* at = reinterpret_cast<const unsigned char*>(descriptor.config_keys);
    for (uint64_t i = 0; i < descriptor.config_key_count; ++i, at += descriptor.config_keys->struct_size) {
        const auto& key = *reinterpret_cast<const meridian_config_key*>(at);
        const std::string name = key.name;
        check_key(key, "key '" + name + "'", descriptor.reconfigure != nullptr);
        require(names.insert(name).second, "key '" + name + "': the name is taken");
        if ((key.flags & MERIDIAN_KEY_FILE) != 0)
            require(names.insert(name + "_file").second, "key '" + name + "': the name of its _file form is taken");
    }
}

}  // namespace

std::vector<Check> plugin_checks() {
    return {
        {"the loader accepts the file", the_loader_accepts_the_file},
        {"its descriptor is complete", its_descriptor_is_complete},
        {"an unknown extension is null", an_unknown_extension_is_null},
        {"its configuration keys make sense", its_configuration_keys_make_sense},
    };
}

}  // namespace meridian::plugin_test
