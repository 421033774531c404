#include "client/arguments.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "config/settings.h"

namespace meridian::client {
namespace {
bool contains(const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}
}  // namespace

Result<Arguments> parse_arguments(int argc, char** argv, const OptionNames& names) {
    Arguments arguments;
    bool options_end = false;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (options_end || word.rfind("--", 0) != 0) {
            arguments.words.push_back(word);
            continue;
        }
        if (word == "--") {
            options_end = true;
            continue;
        }
        const size_t equals = word.find('=');
        const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
        if (contains(names.without_value, name)) {
            if (equals != std::string::npos) return Error{word + ": --" + name + " takes no value"};
            arguments.options[name].emplace_back();
        } else if (contains(names.with_value, name)) {
            if (equals == std::string::npos && i + 1 == argc) return Error{word + ": expected a value"};
            arguments.options[name].push_back(equals == std::string::npos ? argv[++i] : word.substr(equals + 1));
        } else {
            std::vector<std::string> known = names.with_value;
            known.insert(known.end(), names.without_value.begin(), names.without_value.end());
            for (std::string& each : known) each = "--" + each;
            return Error{unknown_name("option", "--" + name, known)};
        }
    }
    return arguments;
}

std::string unknown_name(const std::string& what, const std::string& found,
                         const std::vector<std::string>& candidates) {
    const std::string nearest = config::nearest_name(found, candidates);
    return found + ": unknown " + what + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?");
}

std::string environment(const char* name, const std::string& otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : otherwise;
}

Result<uint64_t> parse_number(const std::string& name, const std::string& text) {
    uint64_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
        return Error{name + " '" + text + "': expected a whole number"};
    }
    return number;
}

Result<uint64_t> parse_duration_ms(const std::string& text) {
    struct Unit {
        char letter;
        uint64_t ms;
    };
    for (const Unit unit : {Unit{'s', 1000}, Unit{'m', 60'000}, Unit{'h', 3'600'000}, Unit{'d', 86'400'000}}) {
        if (text.empty() || text.back() != unit.letter) continue;
        const Result<uint64_t> count = parse_number("duration", text.substr(0, text.size() - 1));
        if (!count || *count > UINT64_MAX / unit.ms)
            return Error{"duration '" + text + "': expected for example 90s, 15m, 24h or 30d"};
        return *count * unit.ms;
    }
    return parse_number("duration", text);
}

}  // namespace meridian::client
