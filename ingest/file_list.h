/* The files that paths on a command line stand for: a directory is all files in it and below, in the order of their names. */
#ifndef SM_FILE_LIST_H
#define SM_FILE_LIST_H

#include "base/base.h"

#define SM_FILE_LIST_MAX       1000000
#define SM_FILE_LIST_DEPTH_MAX 64

struct sm_file_list {
    struct sm_file_entry {
        char *path;
        bool found; /* in a directory: may be a file of another kind */
    } *items;
    size_t count, capacity;
};

/* Appends a path, or what is in it. Names that begin with a dot, links to directories and what is neither file nor directory are left
 * out; a path that is named, or does not exist, is taken as it is. SM_E_IO for a directory that cannot be read, SM_E_LIMIT. */
enum sm_rc sm_file_list_add(struct sm_file_list *list, const char *path, struct sm_err *err) SM_MUST_USE;
void sm_file_list_fini(struct sm_file_list *list);

#endif
