#include "config/settings.h"

#include <algorithm>

#include "config/configuration_files.h"
#include "config/settings_fields.h"
#include "config/transport_selection.h"

namespace meridian::config {
namespace {

std::string suggestion(std::string_view name, const std::vector<std::string>& candidates) {
    const std::string nearest = nearest_name(name, candidates);
    return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

std::vector<std::string> section_names() {
    std::vector<std::string> names;
    for (const Field& field : fields()) {
        if (names.empty() || names.back() != field.section) names.emplace_back(field.section);
    }
    names.emplace_back("transport");
    return names;
}

std::vector<std::string> key_names(std::string_view section) {
    std::vector<std::string> names;
    for (const Field& field : fields()) {
        if (section == field.section) names.emplace_back(field.key);
    }
    return names;
}

// The later of two layers wins.
void set_entry(std::vector<PluginEntry>& entries, PluginEntry entry) {
    const auto same_key = [&entry](const PluginEntry& other) { return other.key == entry.key; };
    entries.erase(std::remove_if(entries.begin(), entries.end(), same_key), entries.end());
    entries.push_back(std::move(entry));
}

Result<void> apply_file(Settings& settings, const IniFile& file) {
    const std::vector<std::string> sections = section_names();
    for (const IniSection& section : file.sections) {
        const std::string title = section.name.empty() ? section.kind : section.kind + " " + section.name;
        if (section.kind == "transport") {
            const std::string source = file.path + ":" + std::to_string(section.line);
            Result<TransportEntry*> transport = find_or_add_transport(settings, section.name, source, source);
            if (!transport) return transport.error();
            for (const IniEntry& entry : section.entries) {
                set_transport_value(**transport,
                                    {entry.key, entry.value, file.path + ":" + std::to_string(entry.line)});
            }
            continue;
        }
        if (!section.name.empty() || std::find(sections.begin(), sections.end(), section.kind) == sections.end()) {
            return Error{file.path + ":" + std::to_string(section.line) + ": unknown section [" + title + "]" +
                         suggestion(section.kind, sections)};
        }
        for (const IniEntry& entry : section.entries) {
            const std::string source = file.path + ":" + std::to_string(entry.line);
            const std::string where = source + ": [" + section.kind + "] " + entry.key;
            if (const Field* field = find_field(section.kind, entry.key)) {
                if (Result<void> assigned = assign(settings, *field, entry.value, where, 1); !assigned) return assigned;
            } else if (section.kind == "store") {
                set_entry(settings.store_entries, {entry.key, entry.value, source});
            } else {
                return Error{where + " = '" + entry.value + "': unknown key" +
                             suggestion(entry.key, key_names(section.kind))};
            }
        }
    }
    return {};
}

Result<void> apply_environment(Settings& settings, const Environment& environment) {
    const auto value_of = [&environment](const char* name) {
        std::optional<std::string> value = environment ? environment(name) : std::nullopt;
        return value && !value->empty() ? value : std::nullopt;
    };
    for (const Field& field : fields()) {
        if (field.variable == nullptr) continue;
        std::optional<std::string> value = value_of(field.variable);
        if (!value) continue;
        if (field.variable_raised && value->find_first_not_of('0') == std::string::npos) {
            value = std::to_string(field.min / field.variable_scale);
            settings.warnings.push_back(std::string("environment variable ") + field.variable + " = 0 counts as " +
                                        *value);
        }
        const std::string where = std::string("environment variable ") + field.variable;
        if (Result<void> assigned = assign(settings, field, *value, where, field.variable_scale); !assigned)
            return assigned;
    }
    for (const IgnoredVariable& ignored : ignored_variables()) {
        if (!value_of(ignored.name)) continue;
        const std::string hint = *ignored.hint == '\0' ? "" : std::string("; ") + ignored.hint;
        settings.warnings.push_back(std::string("environment variable ") + ignored.name +
                                    " has no effect in this build" + hint);
    }
    return {};
}

Result<void> apply_option(Settings& settings, const std::string& name, const std::string& value) {
    const size_t dot = name.find('.');
    const std::string section = name.substr(0, dot);
    const std::string key = dot == std::string::npos ? "" : name.substr(dot + 1);
    const Field* field = find_field(section, key);
    if (field != nullptr) return assign(settings, *field, value, "command line: " + name, 1);
    if (section == "store" && !key.empty()) {
        set_entry(settings.store_entries, {key, value, "command line"});
        return {};
    }
    if (section == "transport") {
        const size_t second = key.find('.');
        const std::string instance = key.substr(0, second);
        if (second != std::string::npos && second + 1 < key.size()) {
            Result<TransportEntry*> transport =
                find_or_add_transport(settings, instance, "command line", "command line: " + name);
            if (!transport) return transport.error();
            set_transport_value(**transport, {key.substr(second + 1), value, "command line"});
            return {};
        }
    }
    std::vector<std::string> names;
    for (const Field& each : fields()) names.push_back(std::string(each.section) + "." + each.key);
    return Error{"command line: " + name + " = '" + value + "': unknown setting" + suggestion(name, names)};
}

size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<size_t> row(right.size() + 1);
    for (size_t j = 0; j <= right.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= left.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right.size(); ++j) {
            const size_t substitute = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
        }
    }
    return row.back();
}

std::string quoted_if_needed(const std::string& value) {
    const bool plain = !value.empty() && value.front() != '"' && value.front() != ' ' && value.back() != ' ';
    if (plain || value.empty()) return value;
    std::string out = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

}  // namespace

std::vector<std::string> split_list(std::string_view list) {
    std::vector<std::string> members;
    for (size_t at = 0; at <= list.size();) {
        const size_t end = std::min(list.find(',', at), list.size());
        std::string_view member = list.substr(at, end - at);
        while (!member.empty() && member.front() == ' ') member.remove_prefix(1);
        while (!member.empty() && member.back() == ' ') member.remove_suffix(1);
        members.emplace_back(member);
        at = end + 1;
    }
    return members;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
    const std::string_view shown = name.substr(0, 64);
    std::string nearest;
    size_t best = std::max<size_t>(2, shown.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const size_t distance = edit_distance(shown, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

namespace {

// Without a [store] section DATABASE_URL, which the plug-in reads itself, chooses PostgreSQL.
void select_store(Settings& settings, const Environment& environment) {
    if (!settings.store_plugin.empty()) return;
    const auto url = environment ? environment("DATABASE_URL") : std::nullopt;
    const bool by_variable = url && !url->empty() && settings.store_entries.empty();
    settings.store_plugin = by_variable ? "store-pg" : Settings().store_plugin;
}

}  // namespace

Result<Settings> load_settings(const SettingsSources& sources) {
    Settings settings;
    settings.store_plugin.clear();  // until it is known whether something names one
    const Result<std::vector<std::string>> files = with_drop_in_files(sources.files);
    if (!files) return files.error();
    for (const std::string& path : *files) {
        Result<IniFile> file = read_ini_file(path);
        if (!file) return file.error();
        if (Result<void> applied = apply_file(settings, *file); !applied) return applied.error();
    }
    if (Result<void> applied = apply_environment(settings, sources.environment); !applied) return applied.error();
    for (const auto& option : sources.options) {
        if (Result<void> applied = apply_option(settings, option.first, option.second); !applied)
            return applied.error();
    }
    select_store(settings, sources.environment);
    if (Result<void> selected = select_transports(settings, sources.environment); !selected) return selected.error();
    if (settings.cluster_authentication == "require" && settings.cluster_secret.empty()) {
        return Error{
            "[cluster] authentication = require: there is no secret; expected [cluster] secret or "
            "MERIDIAN_CLUSTER_SECRET"};
    }
    return settings;
}

SettingsChanges take_reloadable(Settings& running, const Settings& read_again) {
    SettingsChanges changes;
    for (const Field& field : fields()) {
        if (text_of(running, field) == text_of(read_again, field)) continue;
        const std::string name = std::string(field.section) + "." + field.key;
        if (!field.reloadable) {
            changes.kept.push_back(name);
            continue;
        }
        changes.taken.push_back(name);
        if (field.text != nullptr) {
            running.*field.text = read_again.*field.text;
        } else {
            running.*field.number = read_again.*field.number;
        }
    }
    return changes;
}

std::string dump_settings(
    const Settings& settings,
    const std::function<bool(const TransportEntry* transport, const std::string& key)>& shows_key) {
    std::string out;
    const auto dump_entries = [&](const TransportEntry* transport, const std::vector<PluginEntry>& entries) {
        for (const PluginEntry& entry : entries) {
            if (shows_key && shows_key(transport, entry.key)) {
                out += entry.key + " = " + quoted_if_needed(entry.value) + "\n";
            } else {
                out += "# " + entry.key + " = (hidden)\n";
            }
        }
    };
    std::string section;
    for (const Field& field : fields()) {
        if (section != field.section) {
            section = field.section;
            out += (out.empty() ? "[" : "\n[") + section + "]\n";
        }
        // An unset text has no line of its own: empty values of checked texts could not be read back.
        if (field.text != nullptr && (settings.*field.text).empty()) {
            out += std::string("# ") + field.key + " =\n";
        } else if (field.secret) {
            out += std::string("# ") + field.key + " = (hidden)\n";
        } else {
            out += std::string(field.key) + " = " + quoted_if_needed(text_of(settings, field)) + "\n";
        }
        if (section == "store" && std::string_view(field.key) == "plugin")
            dump_entries(nullptr, settings.store_entries);
    }
    for (const TransportEntry& transport : settings.transports) {
        out += "\n[transport " + transport.name + "]\nplugin = " + quoted_if_needed(transport.plugin) + "\n";
        dump_entries(&transport, transport.entries);
    }
    return out;
}

}  // namespace meridian::config
