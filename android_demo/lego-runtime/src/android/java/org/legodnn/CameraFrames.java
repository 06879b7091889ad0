package org.legodnn;

import android.graphics.ImageFormat;
import android.graphics.Rect;
import android.media.Image;

/** Frames of Android's cameras. */
public final class CameraFrames {
    private CameraFrames() {}

    /**
     * What an image of {@code ImageReader} or CameraX shows within its crop rectangle, upright. It is copied, so the
     * image can be closed at once.
     * For a worker thread.
     *
     * @param image in {@link ImageFormat#YUV_420_888}
     * @param rotationDegrees by how much it has to be turned clockwise: CameraX's {@code getRotationDegrees}; Camera2's
     *     {@code SENSOR_ORIENTATION} less the rotation of the display
     * @return for {@link InputSpec#fromYuv(YuvFrame)}
     * @throws InputException another format or rotation
     */
    public static YuvFrame frame(Image image, int rotationDegrees) {
        if (image.getFormat() != ImageFormat.YUV_420_888) {
            throw new InputException("frames are taken in YUV_420_888, this one has format " + image.getFormat());
        }
        Image.Plane[] planes = image.getPlanes();
        YuvFrame whole = new YuvFrame(
                image.getWidth(), image.getHeight(), plane(planes[0]), plane(planes[1]), plane(planes[2]));
        Rect part = image.getCropRect();
        return whole.crop(part.left, part.top, part.width(), part.height()).turned(rotationDegrees);
    }

    private static YuvFrame.Plane plane(Image.Plane plane) {
        return new YuvFrame.Plane(plane.getBuffer(), plane.getRowStride(), plane.getPixelStride());
    }
}
