/** LiteRT 2's compiled models as an executor of the library. */
@NullMarked
package org.legodnn.litert2;

import org.jspecify.annotations.NullMarked;
