// meridiand: reads the command line and the configuration, then runs the node.
#include <cstdlib>
#include <exception>
#include <iostream>

#include "command_line.h"
#include "config/settings.h"
#include "daemon.h"
#include "log.h"
#include "plugin_report.h"
#include "server_version.h"
#include "transport_setup.h"

namespace {

using namespace meridian;

int fail(const Error& error) {
    std::cerr << "meridiand: " << error.message << "\n";
    return 1;
}

int run(const std::vector<std::string>& arguments) {
    const Result<server::CommandLine> line = server::parse_command_line(arguments);
    if (!line) return fail(line.error());
    using Action = server::CommandLine::Action;
    if (line->action == Action::help) {
        std::cout << server::command_line_help();
        return 0;
    }
    if (line->action == Action::version) {
        std::cout << "meridiand " << MERIDIAN_VERSION << "\n";
        return 0;
    }
    config::SettingsSources sources;
    sources.files = line->files;
    sources.options = line->options;
    sources.environment = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return value;
    };
    const Result<config::Settings> settings = config::load_settings(sources);
    if (!settings) return fail(settings.error());
    if (line->action == Action::dump_config) {
        std::cout << config::dump_settings(*settings, server::shown_plugin_keys(*settings));
        return 0;
    }
    if (line->action == Action::list_plugins) {
        std::cout << server::list_plugins(server::plugin_directories(settings->plugin_path));
        return 0;
    }
    if (line->action == Action::check_plugin) {
        const auto text = server::describe_plugin(line->plugin, server::plugin_directories(settings->plugin_path));
        if (!text) return fail(text.error());
        std::cout << *text;
        return 0;
    }
    server::set_log_level(server::log_level_from_name(settings->log_level));
    for (const std::string& warning : settings->warnings) server::log_line(server::LogLevel::warning, warning);
    const Result<void> done =
        line->action == Action::check ? server::check_daemon(*settings) : server::run_daemon(*settings, sources);
    if (!done) return fail(done.error());
    if (line->action == Action::check) std::cout << "the configuration is valid\n";
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    server::block_signals();
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& error) { return fail(Error{error.what()}); }
}
