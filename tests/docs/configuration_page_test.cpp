// docs/CONFIGURATION.md and the settings that the program knows must not drift apart.
#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "config/settings.h"

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

// The same from the page: the first two cells of each row of the tables under "### [section]".
std::map<std::string, std::string> documented_settings() {
    std::ifstream page(MERIDIAN_DOCS "/CONFIGURATION.md");
    CPPUNIT_ASSERT_MESSAGE("docs/CONFIGURATION.md cannot be read", page.good());
    std::map<std::string, std::string> settings;
    std::string section;
    for (std::string line; std::getline(page, line);) {
        if (line.rfind("### [", 0) == 0) section = line.substr(5, line.find(']') - 5);
        if (line.rfind("## ", 0) == 0) section.clear();
        if (section.empty() || line.rfind("| `", 0) != 0) continue;
        const size_t key_end = line.find(" | ");
        const size_t default_end = line.find(" | ", key_end + 3);
        settings[section + "." + without_backticks(line.substr(2, key_end - 2))] =
            without_backticks(line.substr(key_end + 3, default_end - key_end - 3));
    }
    return settings;
}

}  // namespace

class ConfigurationPageTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ConfigurationPageTest);
    CPPUNIT_TEST(documents_every_setting_and_no_other);
    CPPUNIT_TEST(states_the_defaults);
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
        std::map<std::string, std::string> documented = documented_settings();
        for (const auto& setting : known_settings()) {
            if (setting.second.empty()) continue;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(setting.first, setting.second, documented[setting.first]);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ConfigurationPageTest);
