#include "command_line.h"

#include "config/settings.h"

namespace meridian::server {
namespace {

struct Shorthand {
    const char* option;
    const char* setting;
};
constexpr Shorthand shorthands[] = {
    {"--bind", "server.bind"}, {"--data-dir", "server.data_dir"}, {"--log-level", "server.log_level"}};

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
    CommandLine line;
    for (size_t i = 0; i < arguments.size(); ++i) {
        std::string name = arguments[i];
        std::string value;
        bool has_value = false;
        if (const size_t equals = name.find('='); name.rfind("--", 0) == 0 && equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
            has_value = true;
        }
        const auto take_value = [&]() -> Result<std::string> {
            if (has_value) return value;
            if (i + 1 == arguments.size()) return Error{name + ": expected a value"};
            return arguments[++i];
        };
        std::string setting;
        for (const Shorthand& shorthand : shorthands) {
            if (name == shorthand.option) setting = shorthand.setting;
        }
        if (name == "--config" || name == "--set" || name == "--check-plugin" || !setting.empty()) {
            Result<std::string> given = take_value();
            if (!given) return given.error();
            if (name == "--config") {
                line.files.push_back(*given);
            } else if (name == "--check-plugin") {
                line.action = CommandLine::Action::check_plugin;
                line.plugin = *given;
            } else if (!setting.empty()) {
                line.options.emplace_back(setting, *given);
            } else {
                const size_t equals = given->find('=');
                if (equals == std::string::npos) return Error{"--set " + *given + ": expected section.key=value"};
                line.options.emplace_back(given->substr(0, equals), given->substr(equals + 1));
            }
            continue;
        }
        if (has_value) return Error{arguments[i] + ": unknown option or one that takes no value"};
        if (name == "-t" || name == "--check") {
            line.action = CommandLine::Action::check;
        } else if (name == "--dump-config") {
            line.action = CommandLine::Action::dump_config;
        } else if (name == "--list-plugins") {
            line.action = CommandLine::Action::list_plugins;
        } else if (name == "--version") {
            line.action = CommandLine::Action::version;
        } else if (name == "--help" || name == "-h") {
            line.action = CommandLine::Action::help;
        } else {
            const std::string nearest = config::nearest_name(
                name, {"--config", "--set", "--bind", "--data-dir", "--log-level", "--check", "--dump-config",
                       "--list-plugins", "--check-plugin", "--version", "--help"});
            return Error{name + ": unknown option" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?")};
        }
    }
    return line;
}

std::string command_line_help() {
    return "usage: meridiand [option...]\n"
           "\n"
           "  --config FILE            read settings from an INI file; may be given several times\n"
           "  --set SECTION.KEY=VALUE  set one value, over files and environment\n"
           "  --bind ADDRESS           the same as --set server.bind=ADDRESS\n"
           "  --data-dir DIRECTORY     the same as --set server.data_dir=DIRECTORY\n"
           "  --log-level LEVEL        the same as --set server.log_level=LEVEL\n"
           "  -t, --check              check the configuration and exit\n"
           "  --dump-config            print the effective configuration, secrets hidden, and exit\n"
           "  --list-plugins           print the plug-ins in the plug-in directories, and exit\n"
           "  --check-plugin FILE      print what a plug-in is and its configuration keys, or why it is refused, and "
           "exit\n"
           "  --version                print the version and exit\n"
           "  --help                   print this and exit\n"
           "\n"
           "Without any option or file the node listens on 0.0.0.0:3000 and keeps its data in ./data.\n";
}

}  // namespace meridian::server
