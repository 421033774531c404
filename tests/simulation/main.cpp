// meridian-sim: random schedules of a simulated cluster. It ends with status 1 and the seed if one does not come to
// rest as it should; the same seed shows it again.
//
//   meridian-sim [--seed N] [--schedules N] [--trace]      schedules of seeds N, N + 1, ...
//   meridian-sim --wrong-rules [--seed N] [--schedules N]  how many wrong rules are noticed within so many schedules
//   meridian-sim --wrong-rule NAME [--seed N] ...          schedules with one of them
#include <charconv>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "simulation/schedule.h"

namespace {

using meridian::simulation::run_schedule;
using meridian::simulation::ScheduleOptions;
using meridian::simulation::ScheduleResult;
using meridian::simulation::WrongRule;

struct Arguments {
    uint64_t seed = 1;
    uint64_t schedules = 1;
    bool trace = false;
    bool all_wrong_rules = false;
    WrongRule wrong_rule = WrongRule::none;
};

std::optional<uint64_t> number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<Arguments> parse(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--trace") {
            arguments.trace = true;
        } else if (name == "--wrong-rules") {
            arguments.all_wrong_rules = true;
        } else if (i + 1 == argc) {
            return std::nullopt;
        } else if (name == "--wrong-rule") {
            arguments.wrong_rule = meridian::simulation::wrong_rule_of(argv[++i]);
            if (arguments.wrong_rule == WrongRule::none) return std::nullopt;
        } else if (name == "--seed" || name == "--schedules") {
            const std::optional<uint64_t> value = number(argv[++i]);
            if (!value) return std::nullopt;
            (name == "--seed" ? arguments.seed : arguments.schedules) = *value;
        } else {
            return std::nullopt;
        }
    }
    return arguments;
}

void add(ScheduleResult& sum, const ScheduleResult& one) {
    sum.acknowledged += one.acknowledged;
    sum.refused += one.refused;
    sum.in_doubt += one.in_doubt;
    sum.crashes += one.crashes;
    sum.restores += one.restores;
    sum.joins += one.joins;
    sum.leaves += one.leaves;
    sum.partitions += one.partitions;
    sum.transfers += one.transfers;
    sum.incarnations += one.incarnations;
    sum.messages += one.messages;
    sum.tasks += one.tasks;
    sum.virtual_ms += one.virtual_ms;
}

int run_all(const Arguments& arguments) {
    const auto began = std::chrono::steady_clock::now();
    ScheduleResult sum;
    uint64_t failed = 0;
    for (uint64_t i = 0; i < arguments.schedules; ++i) {
        const ScheduleResult result = run_schedule({arguments.seed + i, arguments.wrong_rule, arguments.trace});
        add(sum, result);
        if (result.failure.empty()) continue;
        ++failed;
        std::cout << "seed " << arguments.seed + i << ": " << result.failure << "\n";
    }
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    std::cout << arguments.schedules << " schedules from seed " << arguments.seed << " in " << took.count() << " ms ("
              << sum.virtual_ms / 1000 << " s of theirs): " << failed << " failed\n"
              << "  writes: " << sum.acknowledged << " acknowledged, " << sum.refused << " refused, " << sum.in_doubt
              << " in doubt\n"
              << "  " << sum.joins << " joins, " << sum.leaves << " leaves, " << sum.crashes << " crashes, "
              << sum.restores << " restores, " << sum.partitions << " partitions, " << sum.transfers
              << " state transfers, " << sum.incarnations << " origins\n"
              << "  " << sum.messages << " messages, " << sum.tasks << " tasks\n";
    return failed == 0 ? 0 : 1;
}

int run_wrong_rules(const Arguments& arguments) {
    size_t caught = 0;
    for (const auto& [rule, name] : meridian::simulation::wrong_rules()) {
        std::string failure;
        uint64_t i = 0;
        for (; i < arguments.schedules && failure.empty(); ++i)
            failure = run_schedule({arguments.seed + i, rule, arguments.trace}).failure;
        caught += !failure.empty();
        std::cout << name << ": " << (failure.empty() ? "NOT NOTICED" : "noticed") << " after " << i << " schedules"
                  << (failure.empty() ? "" : ": ") << failure.substr(0, 160) << std::endl;
    }
    const size_t count = meridian::simulation::wrong_rules().size();
    std::cout << caught << " of " << count << " wrong rules noticed\n";
    return caught == count ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::optional<Arguments> arguments = parse(argc, argv);
    if (!arguments) {
        std::cerr << "usage: meridian-sim [--seed N] [--schedules N] [--trace] [--wrong-rules | --wrong-rule NAME]\n";
        return 2;
    }
    return arguments->all_wrong_rules ? run_wrong_rules(*arguments) : run_all(*arguments);
}
