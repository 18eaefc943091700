/* spanmill: finds the subcommand and runs it. */
#include "app/command.h"

/* Read by jemalloc at its start: what is freed goes back to the system within a second, not ten. What is used again and again
 * lies in slabs and pools, which are not freed. */
const char *malloc_conf = "dirty_decay_ms:1000,muzzy_decay_ms:0";

static bool is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static bool is_version(const char *arg)
{
    return strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0;
}

static bool asks_for_help(char **argv)
{
    for (; *argv && strcmp(*argv, "--") != 0; argv++)
        if (is_help(*argv))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        sm_command_print_usage(stderr);
        return SM_EXIT_USAGE;
    }
    const char *name = is_help(argv[1]) ? "help" : is_version(argv[1]) ? "version" : argv[1];
    const struct sm_command *command = sm_command_find(name);
    if (!command)
        return (int)sm_command_unknown(name);
    if (asks_for_help(argv + 2)) {
        sm_command_print_help(command, stdout);
        return SM_EXIT_OK;
    }
    struct sm_args args = {.command = command, .argv = argv + 2};
    return (int)command->run(&args);
}
