/* `expect SUBJECT OP VALUE`: what a scenario can look at. */
#ifndef SM_SCENARIO_EXPECT_H
#define SM_SCENARIO_EXPECT_H

#include "scene.h"

bool expect(struct scene *s, const struct script_words *words);

#endif
