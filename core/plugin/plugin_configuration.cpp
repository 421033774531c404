#include "plugin/plugin_configuration.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "config/settings.h"

namespace meridian::plugin {
namespace {

constexpr size_t value_file_bytes_max = 64 << 10;

struct Unit {
    std::string_view suffix;
    int64_t factor;
};
constexpr Unit size_units[] = {{"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}, {"TiB", 1LL << 40}};
constexpr Unit duration_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

std::optional<int64_t> parse_integer(std::string_view text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

template <size_t N>
std::optional<int64_t> parse_with_unit(std::string_view text, const Unit (&units)[N], bool unit_needed) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_integer(text.substr(0, digits));
    if (!number) return std::nullopt;
    const std::string_view suffix = text.substr(digits);
    if (suffix.empty() && (!unit_needed || *number == 0)) return number;
    for (const Unit& unit : units) {
        if (suffix != unit.suffix) continue;
        if (*number > std::numeric_limits<int64_t>::max() / unit.factor) return std::nullopt;
        return *number * unit.factor;
    }
    return std::nullopt;
}

std::string_view type_description(uint32_t type) {
    switch (type) {
        case MERIDIAN_TYPE_STRING:
            return "a text";
        case MERIDIAN_TYPE_INTEGER:
            return "a whole number";
        case MERIDIAN_TYPE_BOOLEAN:
            return "true or false";
        case MERIDIAN_TYPE_SIZE:
            return "a size such as 4096, 64KiB, 16MiB, 2GiB or 1TiB";
        case MERIDIAN_TYPE_DURATION:
            return "a duration such as 250ms, 10s, 5m, 2h or 7d";
        case MERIDIAN_TYPE_PATH:
            return "a path";
        case MERIDIAN_TYPE_CHOICE:
            return "one of a list";
        default:
            return "a value of a type that this host does not know";
    }
}

bool among(std::string_view value, std::string_view choices) {
    for (size_t begin = 0; begin <= choices.size();) {
        const size_t end = std::min(choices.find('|', begin), choices.size());
        if (choices.substr(begin, end - begin) == value) return true;
        begin = end + 1;
    }
    return false;
}

// The normal form, or what was expected.
struct Normal {
    std::optional<std::string> value;
    std::string expected;
};

Normal in_range(const meridian_config_key& key, std::optional<int64_t> number) {
    if (!number) return {std::nullopt, std::string(type_description(key.type))};
    if (*number < key.minimum || *number > key.maximum) {
        return {std::nullopt, "between " + std::to_string(key.minimum) + " and " + std::to_string(key.maximum) +
                                  (key.type == MERIDIAN_TYPE_SIZE       ? " bytes"
                                   : key.type == MERIDIAN_TYPE_DURATION ? " ms"
                                                                        : "")};
    }
    return {std::to_string(*number), {}};
}

Normal normalise(const meridian_config_key& key, const std::string& text) {
    const Normal wrong{std::nullopt, std::string(type_description(key.type))};
    if (text.find('\0') != std::string::npos) return {std::nullopt, "no NUL byte"};
    switch (key.type) {
        case MERIDIAN_TYPE_STRING:
            return {text, {}};
        case MERIDIAN_TYPE_PATH:
            return text.empty() ? wrong : Normal{text, {}};
        case MERIDIAN_TYPE_INTEGER:
            return in_range(key, parse_integer(text));
        case MERIDIAN_TYPE_SIZE:
            return in_range(key, parse_size(text));
        case MERIDIAN_TYPE_DURATION:
            return in_range(key, parse_duration_ms(text));
        case MERIDIAN_TYPE_BOOLEAN:
            if (text == "true" || text == "yes" || text == "on" || text == "1") return {"true", {}};
            if (text == "false" || text == "no" || text == "off" || text == "0") return {"false", {}};
            return wrong;
        case MERIDIAN_TYPE_CHOICE:
            if (key.choices != nullptr && among(text, key.choices)) return {text, {}};
            return {std::nullopt, "one of " + std::string(key.choices == nullptr ? "" : key.choices)};
        default:
            return wrong;
    }
}

// The content of a file that holds a value, without the newline at its end.
Result<std::string> read_value_file(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return Error{path + ": " + std::strerror(errno)};
    if (!S_ISREG(status.st_mode)) return Error{path + ": not a regular file"};
    if (static_cast<uint64_t>(status.st_size) > value_file_bytes_max) {
        return Error{path + ": it has " + std::to_string(status.st_size) + " bytes, expected at most " +
                     std::to_string(value_file_bytes_max)};
    }
    std::ifstream file(path, std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    if (!file) return Error{path + ": cannot be read"};
    std::string text = content.str();
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
}

struct Source {
    std::optional<std::string> text;
    std::string name;  // for messages
};

// How messages name the keys of a section.
class Titles {
public:
    Titles(const std::string& section_name, const std::map<std::string, std::string>& sources)
        : section_name_(section_name), sources_(sources) {}
    std::string of(const std::string& key) const {
        const auto source = sources_.find(key);
        return (source == sources_.end() ? "" : source->second + ": ") + section_name_ + " " + key;
    }

private:
    const std::string& section_name_;
    const std::map<std::string, std::string>& sources_;
};

Result<Source> find_value(const meridian_config_key& key, const Titles& titles,
                          const std::map<std::string, std::string>& section, const Environment& environment) {
    const std::string name = key.name;
    const auto direct = section.find(name);
    const bool file_allowed = (key.flags & MERIDIAN_KEY_FILE) != 0;
    const auto file = file_allowed ? section.find(name + "_file") : section.end();
    if (direct != section.end() && file != section.end()) {
        return Error{titles.of(name) + ": both " + name + " and " + name + "_file are given, expected one of them"};
    }
    if (direct != section.end()) return Source{direct->second, titles.of(name)};
    if (file != section.end()) {
        auto text = read_value_file(file->second);
        if (!text) return Error{titles.of(name + "_file") + ": " + text.error().message};
        return Source{*text, titles.of(name + "_file")};
    }
    if (key.environment != nullptr) {
        // An empty variable counts as unset.
        if (auto value = environment(key.environment); value && !value->empty())
            return Source{*value, "environment variable " + std::string(key.environment)};
    }
    if (key.default_value != nullptr) return Source{std::string(key.default_value), titles.of(name) + " (default)"};
    return Source{};
}

}  // namespace

Result<void> check_declared_keys(const meridian_plugin_descriptor& descriptor) {
    if (descriptor.config_key_count == 0) return {};
    const auto wrong = [](uint64_t index, const std::string& what) {
        return Error{"its configuration key " + std::to_string(index + 1) + " " + what};
    };
    if (descriptor.config_keys == nullptr) return wrong(0, "is missing: there is no list of keys");
    if (!MERIDIAN_HAS(descriptor.config_keys, meridian_config_key, help)) {
        return wrong(0, "has " + std::to_string(descriptor.config_keys->struct_size) + " bytes, expected at least " +
                            std::to_string(sizeof(meridian_config_key)));
    }
    std::set<std::string> names = {"plugin"};
    const auto* at = reinterpret_cast<const unsigned char*>(descriptor.config_keys);
    for (uint64_t i = 0; i < descriptor.config_key_count; ++i, at += descriptor.config_keys->struct_size) {
        const auto& key = *reinterpret_cast<const meridian_config_key*>(at);
        if (key.name == nullptr) return wrong(i, "has no name");
        const std::string name = key.name;
        if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
            return wrong(i, "is called '" + name + "', expected a name of a-z, 0-9 and _");
        if (!names.insert(name).second) return wrong(i, "is called '" + name + "', which is taken");
        if (key.type < MERIDIAN_TYPE_STRING || key.type > MERIDIAN_TYPE_CHOICE)
            return wrong(i,
                         "('" + name + "') has type " + std::to_string(key.type) + ", which this host does not know");
        if (key.default_value == nullptr) continue;
        if (const Normal normal = normalise(key, key.default_value); !normal.value)
            return wrong(i,
                         "('" + name + "') has the default '" + key.default_value + "', expected " + normal.expected);
    }
    return {};
}

Environment process_environment() {
    return [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
    };
}

std::optional<int64_t> parse_size(std::string_view text) {
    return parse_with_unit(text, size_units, false);
}

std::optional<int64_t> parse_duration_ms(std::string_view text) {
    return parse_with_unit(text, duration_units, true);
}

const meridian_config_key* find_declared_key(const meridian_plugin_descriptor& descriptor, std::string_view name) {
    const auto* at = reinterpret_cast<const unsigned char*>(descriptor.config_keys);
    for (uint64_t i = 0; i < descriptor.config_key_count; ++i, at += descriptor.config_keys->struct_size) {
        const auto& key = *reinterpret_cast<const meridian_config_key*>(at);
        if (name == key.name) return &key;
    }
    return nullptr;
}

Result<Configuration> check_configuration(const LoadedPlugin& plugin, const std::string& section_name,
                                          const std::map<std::string, std::string>& section,
                                          const Environment& environment,
                                          const std::map<std::string, std::string>& sources) {
    const meridian_plugin_descriptor& descriptor = *plugin.descriptor;
    const Titles titles(section_name, sources);
    Configuration out;
    std::vector<std::string> known;
    std::string known_list;
    const auto* at = reinterpret_cast<const unsigned char*>(descriptor.config_keys);
    const size_t step = descriptor.config_key_count == 0 ? 0 : descriptor.config_keys->struct_size;
    for (uint64_t i = 0; i < descriptor.config_key_count; ++i, at += step) {
        const auto& key = *reinterpret_cast<const meridian_config_key*>(at);
        known.emplace_back(key.name);
        known_list += (known_list.empty() ? "" : ", ") + std::string(key.name);
        if ((key.flags & MERIDIAN_KEY_FILE) != 0) known.push_back(std::string(key.name) + "_file");
        auto source = find_value(key, titles, section, environment);
        if (!source) return source.error();
        if (!source->text) {
            if ((key.flags & MERIDIAN_KEY_REQUIRED) == 0) continue;
            return Error{section_name + " " + key.name + ": no value; the plug-in '" + descriptor.identity.name +
                         "' needs " + std::string(type_description(key.type))};
        }
        Normal normal = normalise(key, *source->text);
        if (!normal.value) {
            const bool secret = (key.flags & MERIDIAN_KEY_SECRET) != 0;
            return Error{source->name + ": found " + (secret ? "a secret value" : "'" + *source->text + "'") +
                         ", expected " + normal.expected};
        }
        out.values.emplace_back(key.name, std::move(*normal.value));
    }
    for (const auto& [name, value] : section) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        const std::string nearest = config::nearest_name(name, known);
        return Error{titles.of(name) + ": the plug-in '" + descriptor.identity.name + "' has no such key" +
                     (nearest.empty() ? "" : ", did you mean '" + nearest + "'?") + "; it has " + known_list};
    }
    return out;
}

}  // namespace meridian::plugin
