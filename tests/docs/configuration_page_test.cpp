// docs/CONFIGURATION.md and the settings that the program knows must not drift apart.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "config/settings.h"
#include "config/settings_fields.h"

namespace {

// "section.key" of every setting, with its default; empty if it has none.
std::map<std::string, std::string> known_settings() {
    std::istringstream dump(meridian::config::dump_settings(meridian::config::Settings()));
    std::map<std::string, std::string> settings;
    std::string section;
    for (std::string line; std::getline(dump, line);) {
        if (!line.empty() && line.front() == '[') section = line.substr(1, line.find(']') - 1);
        const size_t equals = line.find(" =");
        if (equals == std::string::npos) continue;
        const size_t start = line.rfind("# ", 0) == 0 ? 2 : 0;
        const std::string value = line.size() > equals + 3 ? line.substr(equals + 3) : "";
        settings[section + "." + line.substr(start, equals - start)] = value;
    }
    return settings;
}

std::string without_backticks(std::string text) {
    std::string out;
    for (const char c : text) {
        if (c != '`') out += c;
    }
    return out;
}

// The cells of each row of the tables under "### [section]", by "section.key".
std::map<std::string, std::vector<std::string>> documented_settings() {
    std::ifstream page(MERIDIAN_DOCS "/CONFIGURATION.md");
    CPPUNIT_ASSERT_MESSAGE("docs/CONFIGURATION.md cannot be read", page.good());
    std::map<std::string, std::vector<std::string>> settings;
    std::string section;
    for (std::string line; std::getline(page, line);) {
        if (line.rfind("### [", 0) == 0) section = line.substr(5, line.find(']') - 5);
        if (line.rfind("## ", 0) == 0) section.clear();
        if (section.empty() || line.rfind("| `", 0) != 0) continue;
        std::vector<std::string> cells;
        for (size_t at = 1; at < line.size();) {
            const size_t end = std::min(line.find('|', at), line.size());
            const std::string cell = line.substr(at, end - at);
            cells.push_back(cell == " " ? "" : without_backticks(cell.substr(1, cell.size() - 2)));
            at = end + 1;
        }
        settings[section + "." + cells[0]] = cells;
    }
    return settings;
}

std::string expected_range(const meridian::config::Field& field) {
    return std::to_string(field.min) + " to " +
           (field.max == meridian::config::unbounded ? "-" : std::to_string(field.max));
}

}  // namespace

class ConfigurationPageTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ConfigurationPageTest);
    CPPUNIT_TEST(documents_every_setting_and_no_other);
    CPPUNIT_TEST(states_the_defaults);
    CPPUNIT_TEST(states_ranges_variables_and_what_can_be_reloaded);
    CPPUNIT_TEST(names_every_variable_without_effect);
    CPPUNIT_TEST_SUITE_END();

public:
    void documents_every_setting_and_no_other() {
        std::set<std::string> known, documented;
        for (const auto& setting : known_settings()) known.insert(setting.first);
        for (const auto& setting : documented_settings()) documented.insert(setting.first);
        CPPUNIT_ASSERT(known.size() > 10);
        for (const std::string& name : known) {
            CPPUNIT_ASSERT_MESSAGE(name + " is not documented", documented.count(name) == 1);
        }
        for (const std::string& name : documented) {
            CPPUNIT_ASSERT_MESSAGE(name + " does not exist", known.count(name) == 1);
        }
    }

    void states_the_defaults() {
        auto documented = documented_settings();
        for (const auto& setting : known_settings()) {
            if (setting.second.empty()) continue;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(setting.first, setting.second, documented[setting.first].at(1));
        }
    }

    void states_ranges_variables_and_what_can_be_reloaded() {
        const auto documented = documented_settings();
        for (const meridian::config::Field& field : meridian::config::fields()) {
            const std::string name = std::string(field.section) + "." + field.key;
            const std::vector<std::string>& cells = documented.at(name);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, size_t{6}, cells.size());
            if (field.number != nullptr) CPPUNIT_ASSERT_EQUAL_MESSAGE(name, expected_range(field), cells[2]);
            const std::string variable = field.variable == nullptr ? "" : field.variable;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, variable, cells[3].substr(0, cells[3].find(' ')));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(field.reloadable ? "yes" : ""), cells[4]);
        }
    }

    void names_every_variable_without_effect() {
        std::ifstream page(MERIDIAN_DOCS "/CONFIGURATION.md");
        std::stringstream text;
        text << page.rdbuf();
        for (const meridian::config::IgnoredVariable& ignored : meridian::config::ignored_variables()) {
            CPPUNIT_ASSERT_MESSAGE(ignored.name,
                                   text.str().find(std::string("`") + ignored.name + "`") != std::string::npos);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ConfigurationPageTest);
