// meridian-plugin-test: checks that a plug-in keeps the contract of meridian/plugin.h.
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <set>
#include <string_view>

#include "arguments.h"
#include "check.h"
#include "fixture.h"
#include "host.h"
#include "plugin/loader.h"
#include "power_loss/power_loss.h"
#include "runner.h"

namespace {

using namespace meridian;
using namespace meridian::plugin_test;

// Without it there is nothing to check.
constexpr const char* first_check = "the loader accepts the file";

constexpr int exit_failed = 1;
constexpr int exit_unusable = 2;

int fail(const std::string& text) {
    std::cerr << "meridian-plugin-test: " << text << "\n";
    return exit_unusable;
}

void print_detail(const std::string& detail) {
    for (size_t begin = 0; begin < detail.size();) {
        const size_t end = std::min(detail.find('\n', begin), detail.size());
        std::cout << "# " << detail.substr(begin, end - begin) << "\n";
        begin = end + 1;
    }
}

std::string absolute(const std::string& file) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(file.c_str(), nullptr), std::free);
    return real ? real.get() : file;
}

int list(uint32_t kind) {
    for (const Check& check : checks_for(kind)) std::cout << check.name << "\n";
    return 0;
}

Result<std::vector<Check>> chosen_checks(const Arguments& arguments, uint32_t kind) {
    std::vector<Check> checks = checks_for(kind);
    if (arguments.only.empty()) return checks;
    const std::set<std::string> wanted(arguments.only.begin(), arguments.only.end());
    for (const std::string& name : wanted) {
        if (std::none_of(checks.begin(), checks.end(), [&](const Check& check) { return check.name == name; }))
            return Error{"--only '" + name + "': there is no such check; --list prints them"};
    }
    checks.erase(
        std::remove_if(checks.begin(), checks.end(), [&](const Check& check) { return wanted.count(check.name) == 0; }),
        checks.end());
    return checks;
}

// What is wrong with the options, as far as the plug-in must be loaded to know: that is done in another process. Empty:
// nothing, or the plug-in cannot be loaded, which the first check says.
std::string wrong_options(const RunOptions& options, bool power_loss) {
    static constexpr const char* option = "--";
    const Check kept = {"", [](Fixture& fixture) {
                            require(!fixture.has(MERIDIAN_STORE_VOLATILE),
                                    "--power-loss: it keeps nothing (MERIDIAN_STORE_VOLATILE)");
                        }};
    const Check configured = {"", [](Fixture& fixture) { fixture.values_at(fixture.new_place()); }};
    const CheckResult result = run_check(power_loss ? kept : configured, options);
    return result.outcome == Outcome::failed && result.detail.rfind(option, 0) == 0 ? result.detail : "";
}

int run_checks(const std::vector<Check>& checks, const RunOptions& options) {
    // Flushed before each fork, or the children would have a copy of what is buffered.
    std::cout << "TAP version 13\n1.." << checks.size() << "\n" << std::flush;
    size_t number = 0;
    size_t failed = 0;
    size_t skipped = 0;
    for (const Check& check : checks) {
        const CheckResult result = run_check(check, options);
        const bool passed = result.outcome != Outcome::failed;
        std::cout << (passed ? "ok " : "not ok ") << ++number << " - " << check.name;
        if (result.outcome == Outcome::skipped) std::cout << " # SKIP " << result.detail;
        std::cout << "\n";
        if (!passed) print_detail(result.detail);
        std::cout << std::flush;
        if (!passed) failed += 1;
        if (result.outcome == Outcome::skipped) skipped += 1;
        if (!passed && check.name == first_check) {
            std::cout << "Bail out! The plug-in cannot be loaded.\n";
            return exit_failed;
        }
    }
    std::cout << "# " << number - failed - skipped << " passed, " << failed << " failed, " << skipped << " skipped\n";
    return failed == 0 ? 0 : exit_failed;
}

int run(const Arguments& arguments) {
    if (arguments.action == Arguments::Action::help) {
        std::cout << help();
        return 0;
    }
    if (arguments.file.empty()) return list(MERIDIAN_KIND_STORE);
    RunOptions options;
    options.plugin_path = absolute(arguments.file);
    options.configuration = values_of(arguments.configuration);
    options.unreachable = values_of(arguments.unreachable);
    options.timeout_ms = arguments.timeout_s * 1000;
    // Nothing of the plug-in runs in this process.
    const auto identity = plugin::read_identity(options.plugin_path);
    if (!identity) return fail(identity.error().message);
    options.kind = identity->kind;
    if (options.kind != MERIDIAN_KIND_STORE && options.kind != MERIDIAN_KIND_TRANSPORT)
        return fail(arguments.file + ": its kind is " + std::to_string(options.kind) + ", expected store or transport");
    if (arguments.action == Arguments::Action::list) return list(options.kind);
    if (arguments.action == Arguments::Action::power_loss) {
        if (options.kind != MERIDIAN_KIND_STORE) return fail(arguments.file + ": --power-loss is for stores");
        if (const std::string wrong = wrong_options(options, true); !wrong.empty()) return fail(wrong);
        PowerLossOptions power_loss;
        power_loss.plugin_path = options.plugin_path;
        power_loss.config = arguments.configuration;
        power_loss.kills = arguments.kills;
        power_loss.seed = arguments.seed;
        return run_power_loss(power_loss);
    }
    const auto checks = chosen_checks(arguments, options.kind);
    if (!checks) return fail(checks.error().message);
    if (const std::string wrong = wrong_options(options, false); !wrong.empty()) return fail(wrong);
    return run_checks(*checks, options);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc > 1 && std::string_view(argv[1]) == power_loss_child_word) return power_loss_child(argc, argv);
        const auto arguments = parse_arguments(std::vector<std::string>(argv + 1, argv + argc));
        if (!arguments) return fail(arguments.error().message + "\n" + "Try meridian-plugin-test --help.");
        return run(*arguments);
    } catch (const std::exception& failure) { return fail(failure.what()); }
}
