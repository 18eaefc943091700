/* spanmill version */
#include "app/command.h"

static enum sm_exit run(struct sm_args *args)
{
    if (sm_args_next(args) != SM_ARGS_END)
        return sm_args_usage(args, "takes no arguments");
    puts("spanmill " SM_VERSION);
    return SM_EXIT_OK;
}

const struct sm_command sm_command_version = {
    .name = "version",
    .operands = "",
    .summary = "print the version",
    .run = run,
};
