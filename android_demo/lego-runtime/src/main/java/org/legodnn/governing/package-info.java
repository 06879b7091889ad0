/** Budgets that follow what the device can spare: {@link Governor}. */
@NullMarked
package org.legodnn.governing;

import org.jspecify.annotations.NullMarked;
