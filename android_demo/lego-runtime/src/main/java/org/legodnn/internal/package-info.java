/** What the other packages share; no part of the interface. */
@NullMarked
package org.legodnn.internal;

import org.jspecify.annotations.NullMarked;
