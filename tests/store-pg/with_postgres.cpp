// with-postgres COMMAND ARGUMENT...: runs the command with a fresh PostgreSQL server, {url} in its arguments standing
// for the server's connection string. Ends with the command's exit status.
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "postgres_process.h"

int main(int argc, char** argv) {
    try {
        const meridian::test::PostgresProcess server;
        std::vector<std::string> words(argv + 1, argv + argc);
        std::vector<char*> arguments;
        for (std::string& word : words) {
            if (const size_t at = word.find("{url}"); at != std::string::npos) word.replace(at, 5, server.url());
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        if (words.empty()) return 2;
        const pid_t process = ::fork();
        if (process == 0) {
            ::execvp(arguments[0], arguments.data());
            ::_exit(127);
        }
        int status = 0;
        ::waitpid(process, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    } catch (const std::exception& error) {
        std::cerr << "with-postgres: " << error.what() << "\n";
        return 2;
    }
}
