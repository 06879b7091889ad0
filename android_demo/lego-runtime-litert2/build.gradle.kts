plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

description = "LiteRT 2's compiled models as an executor of lego-runtime: switches pack no weights"

android {
    namespace = "org.legodnn.litert2"
}

dependencies {
    api(project(":lego-runtime"))
    implementation(libs.litert2)
}
