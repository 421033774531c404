#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "plugin/plugin_configuration.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
        text.replace(at, what.size(), by);
    return text;
}

// Free at this moment; taken together, so that they differ.
std::vector<uint16_t> free_ports(size_t count) {
    std::vector<int> sockets;
    std::vector<uint16_t> ports;
    for (size_t i = 0; i < count; ++i) {
        sockaddr_in name{};
        socklen_t size = sizeof name;
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        sockets.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        auto* const address = reinterpret_cast<sockaddr*>(&name);
        require(::bind(sockets.back(), address, size) == 0 && ::getsockname(sockets.back(), address, &size) == 0,
                std::string("the kit cannot find a free port: ") + std::strerror(errno));
        ports.push_back(::ntohs(name.sin_port));
    }
    for (const int socket : sockets) ::close(socket);
    return ports;
}

bool names_place(const std::string& value) {
    return value.find("{dir}") != std::string::npos || value.find("{id}") != std::string::npos;
}

bool has_in(const std::map<std::string, std::string>& values, const std::string& text) {
    for (const auto& [key, value] : values) {
        if (value.find(text) != std::string::npos) return true;
    }
    return false;
}

// The environment of the kit must not choose where test data go.
std::optional<std::string> no_environment(const std::string&) {
    return std::nullopt;
}

}  // namespace

Fixture::Fixture(plugin::LoadedPlugin plugin, std::map<std::string, std::string> configuration,
                 std::map<std::string, std::string> unreachable, std::string directory)
    : plugin_(std::move(plugin)),
      configuration_(std::move(configuration)),
      unreachable_(std::move(unreachable)),
      directory_(std::move(directory)) {
    // As meridiand does for stores: a plug-in that has such a key keeps its data in a directory.
    const auto* key = descriptor().config_keys;
    for (uint64_t i = 0; i < descriptor().config_key_count; ++i) {
        if (key->name != nullptr && std::strcmp(key->name, "directory") == 0)
            configuration_.emplace("directory", "{dir}");
        key = reinterpret_cast<const meridian_config_key*>(reinterpret_cast<const unsigned char*>(key) +
                                                           descriptor().config_keys->struct_size);
    }
}

void Fixture::require_durable() const {
    if (has(MERIDIAN_STORE_VOLATILE)) throw Skipped("the store keeps nothing between two openings");
}

Place Fixture::missing_place() {
    place_count_ += 1;
    const std::string number = std::to_string(place_count_);
    Place place{directory_ + "/" + number, "t" + std::to_string(::getpid()) + "x" + number};
    if (configuration_has("{port") || has_in(unreachable_, "{port"))
        place.ports = free_ports(configuration_has("{port3}") ? 3 : 2);
    return place;
}

Place Fixture::new_place() {
    Place place = missing_place();
    if (::mkdir(place.directory.c_str(), 0700) != 0)
        throw Failed("the kit cannot make " + place.directory + ": " + std::strerror(errno));
    return place;
}

bool Fixture::has_places() const {
    for (const auto& [key, value] : configuration_) {
        if (names_place(value)) return true;
    }
    return has(MERIDIAN_STORE_VOLATILE);
}

bool Fixture::configuration_has(const std::string& text) const {
    return has_in(configuration_, text);
}

bool Fixture::has_third_node() const {
    return !configuration_has("{port") || configuration_has("{port3}");
}

std::vector<std::pair<std::string, std::string>> Fixture::values_at(
    const Place& place, const std::map<std::string, std::string>& changed) const {
    std::map<std::string, std::string> section = configuration_;
    for (const auto& [key, value] : changed) section[key] = value;
    for (auto& [key, value] : section) {
        value = replaced(replaced(value, "{dir}", place.directory), "{id}", place.id);
        value = replaced(value, "{n}", std::to_string(place.number));
        for (size_t i = 0; i < place.ports.size(); ++i) {
            value = replaced(value, "{port" + std::to_string(i + 1) + "}",
                             std::to_string(place.ports[(place.number - 1 + i) % place.ports.size()]));
        }
    }
    auto checked = plugin::check_configuration(plugin_, "--config", section, no_environment);
    if (!checked) throw Failed(checked.error().message);
    return checked->values;
}

std::vector<std::pair<std::string, std::string>> Fixture::reloadable_values_at(const Place& place) const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& value : values_at(place)) {
        const meridian_config_key* const key = plugin::find_declared_key(descriptor(), value.first);
        if (key != nullptr && (key->flags & MERIDIAN_KEY_RELOADABLE) != 0) out.push_back(value);
    }
    return out;
}

std::optional<Fixture::Created> Fixture::try_create(const std::vector<std::pair<std::string, std::string>>& checked,
                                                    FailedOpen& failure, uint32_t text_size) {
    doing("calling create");
    std::vector<meridian_config_value> values;
    for (const auto& [key, value] : checked) values.push_back({key.c_str(), c_bytes(value)});
    const meridian_config config{sizeof config, static_cast<uint32_t>(values.size()), values.data()};
    // One byte more than the plug-in is told of, to see that it is left alone.
    std::vector<char> text(size_t{text_size} + 1, '\x7f');
    if (text_size != 0) text[0] = '\0';
    meridian_error error{sizeof error, text_size, text.data()};
    hosts_.push_back(std::make_shared<Host>());
    void* const untouched = &error;
    void* instance = untouched;
    failure.status = descriptor().create(hosts_.back()->table(), &config, &instance, &error);
    require(text.back() == '\x7f',
            "create wrote more text than the " + std::to_string(text_size) + " bytes it was given");
    if (failure.status != MERIDIAN_OK) {
        hosts_.back()->enter(Host::Phase::destroyed);
        const auto end = std::find(text.begin(), text.end() - 1, '\0');
        require(text_size == 0 || end != text.end() - 1, "the text of a failed create is not terminated by NUL");
        failure.text.assign(text.begin(), end);
        failure.touched_instance = instance != untouched;
        return std::nullopt;
    }
    require(instance != untouched, "create succeeded without setting the instance");
    return Created{hosts_.back(), instance};
}

std::optional<Store> Fixture::try_open(const Place& place, FailedOpen& failure, uint32_t text_size) {
    const auto created = try_create(values_at(place), failure, text_size);
    if (!created) return std::nullopt;
    return std::optional<Store>(std::in_place, descriptor(), created->host, created->instance);
}

Transport Fixture::open_transport(const Place& place, uint32_t number,
                                  const std::map<std::string, std::string>& changed) {
    Place own = place;
    own.number = number;
    FailedOpen failure;
    const auto created = try_create(values_at(own, changed), failure, 1024);
    if (!created) throw Failed("create failed: " + status_name(failure.status) + ", " + failure.text);
    // Nodes of different places have different names: they may meet in one backend.
    uint64_t node_id = 0;
    for (const char c : place.id) node_id = node_id * 131 + static_cast<unsigned char>(c);
    return Transport(descriptor(), created->host, created->instance, node_id << 4 | number);
}

Store Fixture::open(const Place& place) {
    FailedOpen failure;
    auto store = try_open(place, failure);
    if (!store) throw Failed("create failed: " + status_name(failure.status) + ", " + failure.text);
    return std::move(*store);
}

std::string Fixture::elsewhere(const std::function<std::string()>& function) {
    return run_in_process(function, false);
}

std::string Fixture::elsewhere_then_killed(const std::function<std::string()>& function) {
    return run_in_process(function, true);
}

std::string Fixture::run_in_process(const std::function<std::string()>& function, bool kill) {
    Report* const report = make_report();
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process < 0) throw Failed(std::string("the kit cannot fork: ") + std::strerror(errno));
    if (process == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        set_current_report(report);
        Outcome outcome = Outcome::failed;
        std::string text;
        try {
            text = function();
            outcome = Outcome::passed;
        } catch (const std::exception& failure) { text = failure.what(); }
        set_text(report->detail, sizeof report->detail, text);
        report->outcome = outcome;
        if (kill) ::raise(SIGKILL);
        ::_exit(0);
    }
    doing("waiting for another process");
    int status = 0;
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    if (report->outcome == Outcome::passed) return report->detail;
    if (report->outcome == Outcome::failed) throw Failed(report->detail);
    throw Failed(std::string("the process ended while ") + report->doing + ": " +
                 (WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                      : "exit status " + std::to_string(WEXITSTATUS(status))));
}

}  // namespace meridian::plugin_test
