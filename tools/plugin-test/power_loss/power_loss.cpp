#include "power_loss.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "child_process.h"
#include "journal_format.h"
#include "rollback.h"
#include "run_status.h"
#include "store_host.h"
#include "verification.h"
#include "workload.h"

namespace meridian::plugin_test {
namespace {

using namespace power_loss;
namespace fs = std::filesystem;

// Of all kills, one in so many has a system call fail.
constexpr uint64_t fault_every = 4;

class Runner {
public:
    Runner(const PowerLossOptions& options, uint64_t seed) : options_(options), seed_(seed), random_(seed) {}
    ~Runner() {
        std::error_code error;
        if (!work_.empty() && !keep_) fs::remove_all(work_, error);
    }
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    // Empty: as it must be.
    std::string run() {
        if (auto wrong = prepare(); !wrong.empty()) return wrong;
        for (kill_ = 1; kill_ <= options_.kills; ++kill_) {
            if (auto wrong = one_kill(); !wrong.empty()) {
                keep_ = true;
                return "kill " + std::to_string(kill_) + " of " + std::to_string(options_.kills) + ": " + wrong;
            }
            if (kill_ % 50 == 0 && kill_ != options_.kills) {
                std::printf("# %llu kills, log at position %llu\n", static_cast<unsigned long long>(kill_),
                            static_cast<unsigned long long>(found_next_ - 1));
                std::fflush(stdout);
            }
        }
        if (records_ == 0) {
            return "no change of a file was seen under the run's directory; does the configuration use {dir}?";
        }
        return {};
    }

    void print_summary() const {
        const auto print = [](const char* what, uint64_t count) {
            std::printf("# %s: %llu\n", what, static_cast<unsigned long long>(count));
        };
        print("acknowledged groups", groups_);
        print("groups refused or of unknown outcome", unsuccessful_);
        print("children with a failing call", faulty_children_);
        print("children killed before the store was open", early_);
        print("sectors not durable at a kill", sectors_);
        print("sectors lost", sectors_lost_);
        print("names not durable at a kill", names_);
        print("names lost", names_lost_);
    }
    const std::string& work() const { return work_; }
    bool kept() const { return keep_; }

private:
    std::string prepare() {
        auto plugin = plugin::load_plugin(options_.plugin_path, {}, plugin::Kind::store);
        if (!plugin) return plugin.error().message;
        plugin_ = *plugin;
        shim_ = options_.shim_path.empty() ? find_shim() : options_.shim_path;
        if (shim_.empty() || !fs::exists(shim_)) return "libmeridian-power-loss.so was not found beside this program";
        std::string base = options_.work_directory;
        if (base.empty()) base = std::getenv("TMPDIR") == nullptr ? "/tmp" : std::getenv("TMPDIR");
        std::string name = base + "/meridian-power-loss-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) return name + ": " + std::strerror(errno);
        std::error_code error;
        work_ = fs::canonical(name, error);
        fs::create_directory(watched(), error);
        auto opened = StatusFile::open(status_path(), true);
        if (!opened) return opened.error().message;
        status_file_ = std::move(*opened);
        expectation_.seed = seed_;
        return {};
    }

    RunStatus& status() const { return **status_file_; }
    std::string watched() const { return work_ + "/store"; }
    std::string journal() const { return work_ + "/journal"; }
    std::string copy() const { return work_ + "/copy"; }
    std::string status_path() const { return work_ + "/status"; }

    // A call that is to fail; empty: none.
    std::string draw_fault() {
        if (random_() % fault_every != 0) return {};
        const char* calls[] = {"write",    "write", "sync",   "sync",   "sync",
                               "allocate", "open",  "rename", "unlink", "read"};
        const std::string call = calls[random_() % std::size(calls)];
        // A full disk is a matter of allocation and of writes that make a file longer.
        const bool full = (call == "allocate" || call == "write" || call == "open") && random_() % 2 == 0;
        const uint64_t skip = random_() % (random_() % 2 == 0 ? 12 : 150);
        const uint64_t count = random_() % 3 == 0 ? 0 : 1 + random_() % 3;
        return call + ":" + (full ? "ENOSPC" : "EIO") + ":" + std::to_string(skip) + ":" + std::to_string(count);
    }

    std::string one_kill() {
        std::error_code error;
        fs::remove_all(journal(), error);
        fs::create_directories(journal() + "/keep", error);
        if (error) return journal() + ": " + error.message();
        status().clear_child();
        const uint64_t run = kill_;
        const std::string fault = draw_fault();
        if (auto wrong = run_child(run, fault); !wrong.empty()) {
            return wrong + (fault.empty() ? "" : " (with " + fault + ")");
        }
        if (auto wrong = take_over(run); !wrong.empty()) return wrong;

        const auto report = roll_back(watched(), journal(), random_);
        if (!report) return report.error().message;
        records_ += report->records;
        sectors_ += report->sectors;
        sectors_lost_ += report->sectors_lost;
        names_ += report->names;
        names_lost_ += report->names_lost;

        auto wrong = verify_copy();
        return wrong.empty() || fault.empty() ? wrong : wrong + " (after a child with " + fault + ")";
    }

    std::string run_child(uint64_t run, const std::string& fault) {
        ChildProcess child;
        child.arguments = {"/proc/self/exe",
                           power_loss_child_word,
                           options_.plugin_path,
                           status_path(),
                           watched(),
                           std::to_string(seed_),
                           std::to_string(run),
                           fault.empty()                 ? "none"
                           : fault.rfind("read", 0) == 0 ? "reads"
                                                         : "writes"};
        child.arguments.insert(child.arguments.end(), options_.config.begin(), options_.config.end());
        child.environment = {std::string("LD_PRELOAD=") + shim_, std::string(environment_directory) + "=" + watched(),
                             std::string(environment_journal) + "=" + journal(),
                             std::string(environment_delay) + "=" + (random_() % 2 == 0 ? "0" : "300"),
                             std::string(environment_fault) + "=" + fault};
        child.output_path = work_ + "/child.log";
        if (auto started = child.start(); !started) return started.error().message;
        faulty_children_ += fault.empty() ? 0 : 1;

        const bool early = random_() % 8 == 0;
        const uint64_t groups_wanted = 1 + random_() % (random_() % 4 == 0 ? 400 : 60);
        const auto start = std::chrono::steady_clock::now();
        const auto passed_ms = [&] {
            return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start)
                .count();
        };
        // A child that meets a failure may never get so far: it is given a moment to go on with.
        const int64_t limit_ms = early ? static_cast<int64_t>(random_() % 40) : fault.empty() ? 60'000 : 300;
        while (child.running()) {
            const Phase phase = status().phase;
            if (phase == Phase::failed || phase == Phase::open_failed) break;
            if (!early && status().acknowledged_groups >= groups_wanted) break;
            if (passed_ms() >= limit_ms && (early || phase == Phase::open)) break;
            if (passed_ms() >= 120'000) break;
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
        const bool closes = status().phase == Phase::open && random_() % 8 == 0;
        if (closes) {
            status().close_wanted = 1;
            const uint64_t until_ms = random_() % 40;
            for (uint64_t i = 0; i < until_ms && child.running(); ++i) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
        const bool killed = child.kill();
        const Phase phase = status().phase;
        if (phase == Phase::failed) return status().text;
        if (phase == Phase::open_failed && fault.empty()) {
            return std::string("the store could not be opened: ") + status().text;
        }
        if (phase == Phase::open_failed) return {};
        if (!killed && !(closes && child.ending_status() == 0))
            return "the child ended by itself, " + child.ending() + "; see " + child.output_path;
        if (passed_ms() >= 120'000) return "the store did nothing for two minutes";
        return {};
    }

    // What the child had opened is certain from then on.
    std::string take_over(uint64_t run) {
        if (status().phase != Phase::open) {
            ++early_;
            // Nothing was submitted: what the run before it left is still what is to be found.
            return {};
        }
        const uint64_t opened = status().opened_next;
        if (kill_ > 1 && opened != found_next_) {
            return "the store opened with next position " + std::to_string(opened) +
                   ", a copy of the same files with " + std::to_string(found_next_);
        }
        for (uint64_t position = expectation_.run_first; position < opened;) {
            const GroupPlan plan = plan_group(seed_, expectation_.run, position);
            expectation_.model.apply(plan);
            position += plan.keys.size();
        }
        for (size_t i = 0; i < removed_key_count; ++i) {
            auto& entries = expectation_.model.removed_keys[i];
            const uint64_t removed = status().removal_acknowledged[i];
            entries.erase(std::remove_if(entries.begin(), entries.end(),
                                         [removed](const auto& item) { return item.first <= removed; }),
                          entries.end());
        }
        if (expectation_.run_first < opened) {
            expectation_.earlier.push_back({expectation_.run, expectation_.run_first, opened});
        }
        expectation_.run = run;
        expectation_.run_first = opened;
        expectation_.acknowledged_next = status().acknowledged_next;
        expectation_.submitted_next = status().submitted_next;
        expectation_.beat = status().opened_beat;
        expectation_.beat_acknowledged = status().beat_acknowledged;
        expectation_.beat_submitted = status().beat_submitted;
        groups_ += status().acknowledged_groups;
        unsuccessful_ += status().refused_groups + status().unknown_groups;
        return {};
    }

    // In a process of its own: a store that crashes on what it finds must not take the test with it.
    std::string verify_copy() {
        std::error_code error;
        fs::remove_all(copy(), error);
        fs::copy(watched(), copy(), fs::copy_options::recursive, error);
        if (error) return copy() + ": " + error.message();
        ForkedCheck check;
        const std::string wrong = check.run(work_ + "/verify.log", [&](uint64_t& value) {
            return verify({&plugin_, options_.config, copy()}, expectation_, status(), value);
        });
        if (!wrong.empty()) return wrong;
        found_next_ = check.value();
        return {};
    }

    static std::string find_shim() {
        std::error_code error;
        const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
        for (const fs::path& path : {program / "libmeridian-power-loss.so",
                                     program.parent_path() / "lib" / "meridian" / "libmeridian-power-loss.so"}) {
            if (fs::exists(path)) return path;
        }
        return {};
    }

    const PowerLossOptions& options_;
    const uint64_t seed_;
    std::mt19937_64 random_;
    plugin::LoadedPlugin plugin_;
    std::string shim_;
    std::string work_;
    bool keep_ = false;
    std::unique_ptr<StatusFile> status_file_;
    Expectation expectation_;
    uint64_t kill_ = 0;
    uint64_t found_next_ = 1;  // as the last verification found it
    uint64_t records_ = 0;
    uint64_t groups_ = 0;
    uint64_t unsuccessful_ = 0;
    uint64_t faulty_children_ = 0;
    uint64_t early_ = 0;
    uint64_t sectors_ = 0;
    uint64_t sectors_lost_ = 0;
    uint64_t names_ = 0;
    uint64_t names_lost_ = 0;
};

}  // namespace

int run_power_loss(const PowerLossOptions& options) {
    const uint64_t seed = options.seed != 0 ? options.seed : std::random_device{}() | 1U;
    std::printf("TAP version 13\n1..1\n# power loss: %llu kills, seed %llu\n",
                static_cast<unsigned long long>(options.kills), static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    Runner runner(options, seed);
    const std::string wrong = runner.run();
    runner.print_summary();
    std::printf("%s 1 - power loss: what was acknowledged is there, whole, and nothing else\n",
                wrong.empty() ? "ok" : "not ok");
    if (!wrong.empty()) {
        std::printf("# %s\n", wrong.c_str());
        if (runner.kept()) std::printf("# the run's directory is kept: %s\n", runner.work().c_str());
    }
    std::fflush(stdout);
    return wrong.empty() ? 0 : 1;
}

// Arguments: plug-in, status file, directory, seed, run, expected faults, configuration...
int power_loss_child(int argc, char** argv) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 8) return 2;
    const auto file = StatusFile::open(argv[3], false);
    if (!file) return 2;
    RunStatus& status = ***file;
    const std::string faults = argv[7];
    auto plugin = plugin::load_plugin(argv[2], {}, plugin::Kind::store);
    if (!plugin) {
        status.say(Phase::failed, plugin.error().message);
        return 1;
    }
    StoreHost host;
    auto store = host.open(*plugin, {argv + 8, argv + argc}, argv[4]);
    if (!store) {
        status.say(Phase::open_failed, store.error().message);
        return 1;
    }
    Workload workload(**store, status, std::strtoull(argv[5], nullptr, 10), std::strtoull(argv[6], nullptr, 10),
                      {faults != "none", faults == "reads"});
    if (!workload.begin()) return 1;
    workload.run();
    (*store)->close();
    return status.phase == Phase::open ? 0 : 1;
}

}  // namespace meridian::plugin_test
