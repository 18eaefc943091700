/* spanmill check: everything that `run` would refuse, without starting. */
#include "app/command.h"

enum { OPTION_SET };

static enum sm_exit run(struct sm_args *args)
{
    struct sm_config_args config_args = {0};
    int option;
    while ((option = sm_args_next(args)) != SM_ARGS_END) {
        if (option == SM_ARGS_ERROR)
            return SM_EXIT_USAGE;
        if (option == SM_ARGS_OPERAND && config_args.file)
            return sm_args_usage(args, "takes one FILE");
        sm_config_args_take(&config_args, option == SM_ARGS_OPERAND ? SM_OPTION_CONFIG : SM_OPTION_SET, args->value);
    }
    if (!config_args.file)
        return sm_args_usage(args, "needs a FILE");
    struct sm_config *c = sm_config_args_load(&config_args);
    if (!c)
        return SM_EXIT_USAGE;
    printf("%s: ok\n", config_args.file);
    sm_config_free(c);
    return SM_EXIT_OK;
}

const struct sm_command sm_command_check = {
    .name = "check",
    .operands = "FILE",
    .summary = "check a configuration file without starting",
    .help = "Reads the file, puts in environment variables, checks every key and compiles the rules. Prints each problem as\n"
            "FILE:LINE:COLUMN: KEY: what is wrong. Exit code 0: the file is fine; 2: it is not.",
    .options = {[OPTION_SET] = {"set", 's', "KEY=VALUE", "set one key, over what the file says; may be repeated"}},
    .run = run,
};
