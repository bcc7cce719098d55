/* A library and a linker's plugin: leaves a file outside when it is loaded, in the directory of the attack
   in whose OUT_DIR it lies. WORLD is where everything lies. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static __attribute__((constructor)) void leave_a_file(void) {
    Dl_info info;
    char path[4096], name[256] = "";
    dladdr((void *)leave_a_file, &info);
    const char *build = strstr(info.dli_fname, "/build/");
    if (!build || sscanf(build, "/build/%255[a-z_0-9]", name) != 1)
        return;
    snprintf(path, sizeof path, "%s/outside/%s/new", WORLD, name);
    FILE *file = fopen(path, "w");
    if (file)
        fclose(file);
}

int onload(void *list) {
    (void)list;
    return 0;
}
