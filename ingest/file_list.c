/* Walking directories. */
#include "ingest/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static enum sm_rc append(struct sm_file_list *list, char *path, bool found, struct sm_err *err)
{
    if (list->count == SM_FILE_LIST_MAX) {
        free(path);
        return sm_err_set(err, SM_E_LIMIT, "more than %d files", SM_FILE_LIST_MAX);
    }
    if (list->count == list->capacity) {
        list->capacity = SM_MAX(list->capacity * 2, (size_t)16);
        list->items = sm_xrealloc(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = (struct sm_file_entry){path, found};
    return SM_OK;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = sm_xmalloc(n);
    snprintf(path, n, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
    return path;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not by the locale: the same order everywhere */
}

static enum sm_rc add_directory(struct sm_file_list *list, const char *dir, unsigned depth, struct sm_err *err);

static enum sm_rc add_found(struct sm_file_list *list, char *path, unsigned depth, struct sm_err *err)
{
    struct stat link, st;
    enum sm_rc rc = SM_OK;
    bool is_there = lstat(path, &link) == 0 && stat(path, &st) == 0;
    if (is_there && S_ISREG(st.st_mode))
        return append(list, path, true, err);
    if (is_there && S_ISDIR(link.st_mode))
        rc = add_directory(list, path, depth + 1, err);
    free(path);
    return rc;
}

static enum sm_rc add_directory(struct sm_file_list *list, const char *dir, unsigned depth, struct sm_err *err)
{
    struct dirent **entries;
    enum sm_rc rc = SM_OK;
    if (depth == SM_FILE_LIST_DEPTH_MAX)
        return sm_err_set(err, SM_E_LIMIT, "%s: too many directories within each other", dir);
    int n = scandir(dir, &entries, is_visible, compare_names);
    if (n < 0)
        return sm_err_set(err, SM_E_IO, "%s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == SM_OK)
            rc = add_found(list, join(dir, entries[i]->d_name), depth, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

enum sm_rc sm_file_list_add(struct sm_file_list *list, const char *path, struct sm_err *err)
{
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return add_directory(list, path, 0, err);
    return append(list, sm_xstrndup(path, strlen(path)), false, err);
}

void sm_file_list_fini(struct sm_file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct sm_file_list){0};
}
