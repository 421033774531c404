#include "config/node_identity.h"

#include <charconv>
#include <cstdlib>
#include <fstream>

#include "config/settings.h"

namespace meridian::config {

uint64_t derive_node_id(std::string_view host, uint16_t port) {
    uint64_t hash = 14695981039346656037ULL;
    const auto step = [&hash](uint8_t byte) { hash = (hash ^ byte) * 1099511628211ULL; };
    for (const char c : host) step(static_cast<uint8_t>(c));
    step(static_cast<uint8_t>(port & 0xff));
    step(static_cast<uint8_t>(port >> 8));
    return hash;
}

uint16_t port_of_bind(std::string_view bind) {
    const std::string_view text = bind.substr(bind.rfind(':') + 1);
    uint16_t port = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
    return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && !text.empty() ? port : 3000;
}

std::string host_name() {
    if (const char* name = std::getenv("HOSTNAME")) return name;
    std::ifstream file("/proc/sys/kernel/hostname");
    std::string name;
    if (!std::getline(file, name)) return "localhost";
    const char* blanks = " \t\r\n";
    const size_t first = name.find_first_not_of(blanks);
    if (first == std::string::npos) return "";
    return name.substr(first, name.find_last_not_of(blanks) - first + 1);
}

uint64_t node_id_of(const Settings& settings) {
    if (!settings.node_id.empty()) return std::strtoull(settings.node_id.c_str(), nullptr, 10);
    return derive_node_id(host_name(), port_of_bind(split_list(settings.bind).front()));
}

std::string node_id_text(uint64_t node_id) {
    char text[16];
    const auto end = std::to_chars(text, text + sizeof text, node_id, 16).ptr;
    return {text, end};
}

}  // namespace meridian::config
