#include "arguments.h"

#include <charconv>
#include <functional>

namespace meridian::plugin_test {
namespace {

Result<uint64_t> number(const std::string& name, const std::string& text, uint64_t minimum, uint64_t maximum) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < minimum || value > maximum) {
        return Error{name + ": found '" + text + "', expected a number from " + std::to_string(minimum) + " to " +
                     std::to_string(maximum)};
    }
    return value;
}

}  // namespace

Result<Arguments> parse_arguments(const std::vector<std::string>& given) {
    Arguments out;
    bool kills_or_seed = false;
    for (size_t i = 0; i < given.size(); ++i) {
        const std::string& name = given[i];
        const auto take = [&](const std::function<Result<void>(const std::string&)>& use) -> Result<void> {
            if (i + 1 == given.size()) return Error{name + ": expected a value"};
            return use(given[++i]);
        };
        const auto take_number = [&](uint64_t& target, uint64_t minimum, uint64_t maximum) {
            return take([&](const std::string& text) -> Result<void> {
                auto value = number(name, text, minimum, maximum);
                if (!value) return value.error();
                target = *value;
                return {};
            });
        };
        Result<void> taken;
        if (name == "--help" || name == "-h") {
            out.action = Arguments::Action::help;
            return out;
        } else if (name == "--list") {
            out.action = Arguments::Action::list;
        } else if (name == "--power-loss") {
            out.action = Arguments::Action::power_loss;
        } else if (name == "--config" || name == "--unreachable") {
            taken = take([&](const std::string& text) -> Result<void> {
                const size_t equals = text.find('=');
                if (equals == 0 || equals == std::string::npos)
                    return Error{name + " " + text + ": expected KEY=VALUE"};
                (name == "--config" ? out.configuration : out.unreachable).push_back(text);
                return {};
            });
        } else if (name == "--only") {
            taken = take([&](const std::string& text) -> Result<void> {
                out.only.push_back(text);
                return {};
            });
        } else if (name == "--timeout") {
            taken = take_number(out.timeout_s, 1, 86'400);
        } else if (name == "--kills") {
            kills_or_seed = true;
            taken = take_number(out.kills, 1, 1'000'000);
        } else if (name == "--seed") {
            kills_or_seed = true;
            taken = take_number(out.seed, 0, UINT64_MAX);
        } else if (name.size() > 1 && name.front() == '-') {
            return Error{name + ": unknown option"};
        } else if (!out.file.empty()) {
            return Error{name + ": a second file; expected one plug-in"};
        } else {
            out.file = name;
        }
        if (!taken) return taken.error();
    }
    if (out.file.empty() && out.action != Arguments::Action::list) return Error{"expected the file of a plug-in"};
    if (kills_or_seed && out.action != Arguments::Action::power_loss)
        return Error{"--kills and --seed go with --power-loss"};
    if (!out.only.empty() && out.action == Arguments::Action::power_loss)
        return Error{"--only does not go with --power-loss"};
    return out;
}

std::map<std::string, std::string> values_of(const std::vector<std::string>& items) {
    std::map<std::string, std::string> out;
    for (const std::string& item : items) {
        const size_t equals = item.find('=');
        out[item.substr(0, equals)] = item.substr(equals + 1);
    }
    return out;
}

std::string help() {
    return "usage: meridian-plugin-test FILE [--config KEY=VALUE]... [--only NAME]... [--timeout SECONDS]\n"
           "       meridian-plugin-test FILE [--config KEY=VALUE]... --power-loss [--kills N] [--seed S]\n"
           "       meridian-plugin-test --list [FILE]\n"
           "\n"
           "Checks that a plug-in keeps the contract of meridian/plugin.h. Prints TAP version 13.\n"
           "\n"
           "  --config KEY=VALUE  value of one of the plug-in's own keys. {dir} in a value becomes an empty directory\n"
           "                      of its own for every store that a check makes, {id} a word of its own. A key named\n"
           "                      'directory' is {dir} unless it is given. Environment variables that the plug-in\n"
           "                      declares are not read.\n"
           "                      Transports: {dir} and {id} are the same for the nodes of one cluster, {n} is the\n"
           "                      number of the node, {port1}, {port2}, {port3} are free TCP ports of which {port1}\n"
           "                      is the node's own: --config bind=127.0.0.1:{port1} --config peers=127.0.0.1:{port2}\n"
           "  --unreachable KEY=VALUE\n"
           "                      a value with which a transport finds nobody\n"
           "  --only NAME         run this check only; may be given several times\n"
           "  --list              print the names of the checks\n"
           "  --timeout SECONDS   a check that takes longer fails (60)\n"
           "  --power-loss        kill a process that uses the store, take back a part of what it had not synced, and\n"
           "                      look at what is left; instead of the checks\n"
           "  --kills N           so many times (200)\n"
           "  --seed S            with these random choices (0: others each time, printed)\n"
           "\n"
           "Exit status: 0 all checks passed or were skipped, 1 a check failed, 2 the command line is wrong or the\n"
           "file cannot be tested at all.\n";
}

}  // namespace meridian::plugin_test
