/** TensorFlow Lite's files as such; no part of the interface. */
@NullMarked
package org.legodnn.internal.tflite;

import org.jspecify.annotations.NullMarked;
