package com.google.ai.edge.litert;

import java.util.List;

/** Stands in for LiteRT's. */
public final class TensorType {
    private final ElementType elementType;
    private final Layout layout;

    /** Stands in for LiteRT's. */
    public enum ElementType {
        FLOAT, INT8
    }

    /** Stands in for LiteRT's. */
    public static final class Layout {
        private final List<Integer> dimensions;

        Layout(List<Integer> dimensions) {
            this.dimensions = dimensions;
        }

        public List<Integer> getDimensions() {
            return dimensions;
        }
    }

    TensorType(ElementType elementType, List<Integer> dimensions) {
        this.elementType = elementType;
        this.layout = new Layout(dimensions);
    }

    public ElementType getElementType() {
        return elementType;
    }

    public Layout getLayout() {
        return layout;
    }
}
